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

# SEEN_EPOCH: the highest that this host has acted for; what cannot be read is not 0.
read_epoch() {
	EPOCH_FILE=${FD_state_dir:-${HOME:-/}/.failoverd}/$SYSTEM_IDENTIFIER.epoch
	SEEN_EPOCH=0
	[ -e "$EPOCH_FILE" ] || return 0
	SEEN_EPOCH=''
	{ read -r SEEN_EPOCH <"$EPOCH_FILE"; } 2>/dev/null
	is_number "$SEEN_EPOCH" || cannot "$EPOCH_FILE is not readable, or holds no number"
}

# Refuse an older epoch; keep a newer one, on disk, outside the data directory.
take_epoch() {
	is_number "$FD_epoch" || finish "$EXIT_STALE_EPOCH" stale_epoch "no epoch was given"
	read_epoch
	[ "$FD_epoch" -ge "$SEEN_EPOCH" ] ||
		finish "$EXIT_STALE_EPOCH" stale_epoch "epoch $FD_epoch is older than $SEEN_EPOCH, which this host has seen"
	[ "$FD_epoch" -gt "$SEEN_EPOCH" ] || return 0
	folder=${EPOCH_FILE%/*}
	{
		mkdir -p "$folder" && printf '%s\n' "$FD_epoch" >"$EPOCH_FILE.new" && sync "$EPOCH_FILE.new" &&
			mv -f "$EPOCH_FILE.new" "$EPOCH_FILE" && sync "$folder" "$folder/.."
	} 2>/dev/null || cannot "cannot keep the epoch in $EPOCH_FILE"
}

may_act() {
	need sync mkdir mv rm chown date sleep kill
	check_identity
	take_lock
	check_expiry
	take_epoch
}
