# The guard: standby.signal, so that whoever starts this server gets it read-only, and beside it
# our marker. The marker comes first and goes last: a standby.signal alone is somebody else's.
# Durable before anything is stopped.
lay_guard() {
	read_guard
	laid=$(date +%s)
	case $GUARD in
	foreign) finish "$EXIT_FOREIGN_GUARD" foreign_guard "a standby.signal that is not ours lies in $DATA: a standby by right" ;;
	ours)
		# It has been there since it was first laid: a server started since then is a standby.
		! is_number "$GUARD_LAID_AT" || laid=$GUARD_LAID_AT
		;;
	esac
	if [ "$GUARD" != ours ] || [ "$GUARD_EPOCH/$GUARD_INCIDENT" != "$FD_epoch/$FD_incident" ]; then
		printf 'epoch=%s\nincident=%s\nboot_id=%s\nlaid_at_uptime=%s\nlaid_at=%s\n' \
			"$FD_epoch" "$FD_incident" "$BOOT_ID" "$UPTIME" "$laid" >"$DATA/failoverd.guard.new" &&
			sync "$DATA/failoverd.guard.new" &&
			mv -f "$DATA/failoverd.guard.new" "$DATA/failoverd.guard" &&
			: >>"$DATA/standby.signal" || return 1
		[ "$ME" != 0 ] || chown "$OWNER:$GROUP" "$DATA/failoverd.guard" "$DATA/standby.signal" || return 1
	fi
	sync "$DATA/failoverd.guard" "$DATA/standby.signal" "$DATA"
}

guard_or_finish() {
	lay_guard 2>/dev/null || finish "$EXIT_NOT_DONE" not_guarded "the guard could not be written in $DATA"
}

verb_guard() {
	may_act
	guard_or_finish
	scan
	facts
	finish 0 guarded ""
}

# Ours only, and only where no server runs as a standby: it might be one by right by now, and
# would start its next life as a primary.
verb_unguard() {
	may_act
	read_guard
	case $GUARD in
	foreign) finish "$EXIT_FOREIGN_GUARD" foreign_guard "the standby.signal in $DATA is not ours" ;;
	none)
		rm -f "$DATA/failoverd.guard"
		finish 0 unguarded ""
		;;
	esac
	[ -z "$FD_incident" ] || [ "$GUARD_INCIDENT" = "$FD_incident" ] ||
		finish "$EXIT_FOREIGN_GUARD" foreign_guard "the guard is of incident $GUARD_INCIDENT, not $FD_incident"
	scan
	if [ -n "$PROCESSES" ]; then
		recovering=$(echo 'select pg_is_in_recovery()' | sql)
		[ "$recovering" = f ] ||
			finish "$EXIT_ALIVE" alive "a server runs there in recovery, or does not say: stop it first"
	fi
	{ rm -f "$DATA/standby.signal" && sync "$DATA" && rm -f "$DATA/failoverd.guard" && sync "$DATA"; } ||
		finish "$EXIT_NOT_DONE" not_unguarded "the guard could not be removed from $DATA"
	finish 0 unguarded ""
}
