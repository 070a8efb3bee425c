# Bring WAL into a frozen standby: written aside, checked, and only then given its name.
EXIT_NO_SEGMENT=19

# Nobody but us may write WAL there, and nobody else may have taken the standby over.
may_receive() {
	name_frozen_slot
	said=$(echo "select pg_is_in_recovery() and current_setting('primary_slot_name') = '$FROZEN_SLOT'
		and not exists (select from pg_stat_wal_receiver)" | sql) || REFUSED=$(complaint "$said")
	[ -n "$REFUSED" ] || [ "$said" = t ] ||
		REFUSED="it is not in recovery, not frozen for epoch $FD_epoch, or receives WAL from somebody"
	[ -z "$REFUSED" ]
}

discard() { rm -f "$ASIDE" "$ASIDE.segment"; }

# patch NUMBER FROM COUNT: a segment with what was received in its place, whole or not at all.
patch() {
	begins=$(($1 * WAL_SEGMENT))
	if find_segment "$1" && [ "$2" -gt "$begins" ]; then
		cp "$DATA/pg_wal/$SEGMENT" "$ASIDE.segment" || return 1
		[ "$(stat -c %s "$ASIDE.segment")" = "$WAL_SEGMENT" ] || return 1
	elif [ "$2" -gt "$begins" ]; then
		discard
		finish "$EXIT_NO_SEGMENT" no_segment "$SEGMENT is not there to be added to"
	else
		: >"$ASIDE.segment" && truncate -s "$WAL_SEGMENT" "$ASIDE.segment" || return 1
	fi
	dd if="$ASIDE" of="$ASIDE.segment" bs="$WAL_BLOCK" skip="$((($2 - from) / WAL_BLOCK))" \
		seek="$((($2 - begins) / WAL_BLOCK))" count="$(($3 / WAL_BLOCK))" conv=notrunc 2>/dev/null || return 1
	chmod "$mode" "$ASIDE.segment" || return 1
	[ "$ME" != 0 ] || chown "$OWNER:$GROUP" "$ASIDE.segment" || return 1
	sync "$ASIDE.segment" && mv -f "$ASIDE.segment" "$DATA/pg_wal/$SEGMENT"
}

# The data comes behind the program, on descriptor 3, and behind it its checksum.
verb_wal_receive() {
	need dd sha256sum cp chmod truncate
	may_act
	{ is_number "$FD_timeline" && is_number "$FD_count" && is_lsn "$FD_start"; } || cannot "it was not told what comes"
	read_history || finish "$EXIT_NOT_DONE" not_received "the history of timeline $FD_timeline is missing"
	ASIDE=$DATA/pg_wal/failoverd.received
	discard
	mode=$(stat -c %a "$DATA/PG_VERSION")
	head -c "$FD_count" <&3 2>/dev/null >"$ASIDE"
	arrived=$(stat -c %s "$ASIDE" 2>/dev/null)
	if [ "$arrived" != "$FD_count" ]; then
		discard
		finish "$EXIT_NOT_DONE" not_received "${arrived:-no} of $FD_count bytes arrived, or could be written"
	fi
	sum=$(sha256sum <"$ASIDE")
	told=$(head -c 64 <&3 2>/dev/null)
	if [ "${sum%% *}" != "$told" ]; then
		discard
		finish "$EXIT_NOT_DONE" wrong_sum "what arrived has another checksum than what was sent"
	fi
	REFUSED=
	if ! may_receive; then
		discard
		finish "$EXIT_NOT_DONE" not_received "$REFUSED"
	fi
	read_position "$FD_start"
	from=$BYTES at=$BYTES until=$((BYTES + FD_count))
	while [ "$at" -lt "$until" ]; do
		next=$(((at / WAL_SEGMENT + 1) * WAL_SEGMENT))
		[ "$next" -le "$until" ] || next=$until
		if ! patch "$((at / WAL_SEGMENT))" "$at" "$((next - at))" 2>/dev/null; then
			discard
			finish "$EXIT_NOT_DONE" not_received "a segment could not be written in $DATA/pg_wal"
		fi
		at=$next
	done
	discard
	sync "$DATA/pg_wal" || finish "$EXIT_NOT_DONE" not_received "$DATA/pg_wal could not be synced"
	read_boot
	say boot_id "$BOOT_ID"
	say uptime "$UPTIME"
	finish 0 received ""
}
