# Whether an act may be done here and now: of this cluster, by this epoch, not too late, alone.

check_identity() {
	find_data_dir
	{ [ -n "$FD_system_identifier" ] && [ "$SYSTEM_IDENTIFIER" = "$FD_system_identifier" ]; } ||
		finish "$EXIT_WRONG_CLUSTER" wrong_cluster "$DATA has system identifier $SYSTEM_IDENTIFIER, not $FD_system_identifier"
}

check_expiry() {
	read_boot
	read_now
	[ "$FD_boot_id" = "$BOOT_ID" ] || finish "$EXIT_EXPIRED" expired "this host was booted since the look that led here"
	is_number "$FD_expires" || finish "$EXIT_EXPIRED" expired "no expiry was given"
	[ "$NOW" -le "$FD_expires" ] || finish "$EXIT_EXPIRED" expired "the look that led here is too old"
}

# One act at a time on a data directory: an act whose answer was lost may still be under way.
take_lock() {
	need flock
	[ -r "$DATA" ] || cannot "$DATA is not readable as $(id -un)"
	exec 9<"$DATA"
	flock -w 2 9 || finish "$EXIT_NOT_DONE" busy "another act on $DATA is under way"
}

# An owner is a daemon, GROUP, or the holder of a lease, GROUP.TERM: TERM_OF is its term.
term_of() {
	TERM_OF=${1##*.}
	case $1 in *.*) is_number "$TERM_OF" || TERM_OF=0 ;; *) TERM_OF=0 ;; esac
}

# outranks OWNER OTHER: of the same group, and by a later term. Terms have up to 18 digits.
outranks() {
	[ "${1%%.*}" = "${2%%.*}" ] || return 1
	term_of "$2"
	other=$TERM_OF
	term_of "$1"
	[ "$TERM_OF" -gt "$other" ]
}

# What a frozen standby of this epoch and owner is told by.
name_frozen_slot() {
	FROZEN_SLOT=failoverd_frozen_$FD_epoch
	term_of "$FD_owner"
	[ "$TERM_OF" -eq 0 ] || FROZEN_SLOT=${FROZEN_SLOT}_$TERM_OF
}

# SEEN_EPOCH: the highest that this host has acted for; what cannot be read is not 0. SEEN_OWNER:
# the daemon that it belongs to, for two that know nothing of each other may count alike.
read_epoch() {
	HOST_STATE=${FD_state_dir:-${HOME:-/}/.failoverd}
	EPOCH_FILE=$HOST_STATE/$SYSTEM_IDENTIFIER.epoch
	SEEN_EPOCH=0 SEEN_OWNER=''
	read_epoch_in "$EPOCH_FILE"
	read_epoch_in "$HOST_STATE.$SYSTEM_IDENTIFIER.epoch"
}

read_epoch_in() {
	epoch='' owner=''
	if [ -L "$1" ]; then
		epoch=$(readlink "$1")
		owner=${epoch#*,} epoch=${epoch%%,*}
	elif [ -e "$1" ]; then
		{ read -r epoch owner <"$1"; } 2>/dev/null
	else
		return 0
	fi
	is_number "$epoch" || cannot "$1 is not readable, or holds no number"
	[ "$epoch" -ge "$SEEN_EPOCH" ] || return 0
	if [ "$epoch" -gt "$SEEN_EPOCH" ] || ! outranks "$SEEN_OWNER" "$owner"; then
		SEEN_EPOCH=$epoch SEEN_OWNER=$owner
	fi
}

# Refuse an older epoch, and an older term of the same one; keep a newer one, on disk, outside the
# data directory.
take_epoch() {
	is_number "$FD_epoch" || finish "$EXIT_STALE_EPOCH" stale_epoch "no epoch was given"
	read_epoch
	[ "$FD_epoch" -ge "$SEEN_EPOCH" ] ||
		finish "$EXIT_STALE_EPOCH" stale_epoch "epoch $FD_epoch is older than $SEEN_EPOCH, which this host has seen"
	if [ "$FD_epoch" -eq "$SEEN_EPOCH" ] && ! outranks "$FD_owner" "$SEEN_OWNER"; then
		[ -z "$SEEN_OWNER" ] || [ "$SEEN_OWNER" = "$FD_owner" ] ||
			finish "$EXIT_STALE_EPOCH" stale_epoch "epoch $FD_epoch was taken on this host by another daemon"
		return 0
	fi
	{
		mkdir -p "$HOST_STATE" && printf '%s %s\n' "$FD_epoch" "$FD_owner" >"$EPOCH_FILE.new" && sync "$EPOCH_FILE.new" &&
			mv -f "$EPOCH_FILE.new" "$EPOCH_FILE" && sync "$HOST_STATE" "$HOST_STATE/.."
	} 2>/dev/null || keep_epoch_on_a_full_disk 2>/dev/null || cannot "cannot keep the epoch in $EPOCH_FILE"
}

# link TEXT FILE: text of less than 60 bytes, which has its place in the inode of a symbolic link:
# it needs no block of a disk that has none left. Source: ext4(5), xfs: inline symbolic links.
link() {
	rm -f "$2.new"
	ln -s "$1" "$2.new" && mv -f "$2.new" "$2" && sync "${2%/*}"
}

# Where its folder cannot be made, either, beside it.
keep_epoch_on_a_full_disk() {
	file=$EPOCH_FILE
	[ -d "$HOST_STATE" ] || file=$HOST_STATE.$SYSTEM_IDENTIFIER.epoch
	link "$FD_epoch,$FD_owner" "$file"
}

may_act() {
	need sync mkdir mv rm chown date sleep kill
	check_identity
	take_lock
	check_expiry
	take_epoch
}
