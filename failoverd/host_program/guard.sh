# The guard: standby.signal, so that whoever starts this server gets it read-only, and beside it
# our marker. The marker comes first and goes last: a standby.signal alone is somebody else's.
# Durable before anything is stopped.
lay_guard() {
	read_guard
	case $GUARD in
	foreign) finish "$EXIT_FOREIGN_GUARD" foreign_guard "a standby.signal that is not ours lies in $DATA: a standby by right" ;;
	none) GUARD_LAID_AT='' GUARD_LAID_AT_UPTIME='' GUARD_BOOT_ID=$BOOT_ID ;;
	esac
	if [ "$GUARD" != ours ] || [ "$GUARD_EPOCH/$GUARD_INCIDENT" != "$FD_epoch/$FD_incident" ]; then
		{ write_marker || link_marker; } && true >>"$DATA/standby.signal" || return 1
		[ "$ME" != 0 ] || chown -h "$OWNER:$GROUP" "$DATA/failoverd.guard" "$DATA/standby.signal" || return 1
	fi
	hold_at_target "$DATA" || return 1
	[ -L "$DATA/failoverd.guard" ] || sync "$DATA/failoverd.guard" || return 1
	sync "$DATA/standby.signal" "$DATA" || return 1
	[ -n "$GUARD_LAID_AT" ] || note_laid
}

# hold_at_target DIRECTORY: a recovery target that a restore to a point in time has left in the
# settings promotes a standby by itself, once it receives what lies behind it. It is made to pause
# there: postgresql.auto.conf is read last. The line stays when the guard goes; to a primary it says
# nothing. Source: PostgreSQL documentation, "Recovery Target".
hold_at_target() {
	find_config_file "$1"
	grep -r -i -q -s "^[[:space:]]*recovery_target_action[[:space:]=']*promote" "$1/postgresql.auto.conf" \
		"$1/postgresql.conf" "$1/conf.d" "${CONFIG_FILE:-/dev/null}" "${CONFIG_FILE%/*}/conf.d" || return 0
	case $(grep -i -s '^[[:space:]]*recovery_target_action' "$1/postgresql.auto.conf" | tail -n 1) in
	*pause*) return 0 ;;
	esac
	[ -e "$1/postgresql.auto.conf" ] || : >"$1/postgresql.auto.conf" || return 1
	[ "$ME" != 0 ] || chown "$OWNER:$GROUP" "$1/postgresql.auto.conf" || return 1
	printf "\nrecovery_target_action = 'pause' # by failoverd: a standby is not to promote itself\n" \
		>>"$1/postgresql.auto.conf" && sync "$1/postgresql.auto.conf"
}

# CONFIG_FILE: where the configuration lies elsewhere, the last start has said where.
find_config_file() {
	CONFIG_FILE=
	[ -f "$1/postgresql.conf" ] ||
		CONFIG_FILE=$(sed -n 's/.*"config_file=\([^"]*\)".*/\1/p' "$1/postmaster.opts" 2>/dev/null) || :
}

# Since when it has been there, after it is: a server started since then is a standby. Nothing is
# lost with it: unwritten, or gone with a crash of the host, nobody is taken for one by it.
note_laid() {
	[ "$GUARD_BOOT_ID" = "$BOOT_ID" ] || return 0
	read_boot
	GUARD_LAID_AT=$(date +%s) GUARD_LAID_AT_UPTIME=$UPTIME
	if [ -L "$DATA/failoverd.guard" ]; then
		link_marker || :
	else
		printf 'laid_at_uptime=%s\nlaid_at=%s\n' "$GUARD_LAID_AT_UPTIME" "$GUARD_LAID_AT" >>"$DATA/failoverd.guard" || :
	fi
}

write_marker() {
	{
		printf 'epoch=%s\nincident=%s\nboot_id=%s\n' "$FD_epoch" "$FD_incident" "$GUARD_BOOT_ID" &&
			{
				[ -z "$GUARD_LAID_AT" ] ||
					printf 'laid_at_uptime=%s\nlaid_at=%s\n' "$GUARD_LAID_AT_UPTIME" "$GUARD_LAID_AT"
			}
	} >"$DATA/failoverd.guard.new" && sync "$DATA/failoverd.guard.new" &&
		mv -f "$DATA/failoverd.guard.new" "$DATA/failoverd.guard"
}

# On a full disk.
link_marker() {
	link "$FD_epoch,$FD_incident,$GUARD_LAID_AT,$GUARD_LAID_AT_UPTIME,${GUARD_BOOT_ID%%-*}" "$DATA/failoverd.guard"
}

guard_or_finish() {
	lay_guard 2>/dev/null || finish "$EXIT_NOT_DONE" not_guarded "the guard could not be written in $DATA: nothing was stopped"
}

verb_guard() {
	may_act
	guard_or_finish
	scan
	facts
	finish 0 guarded ""
}

# Ours only, and only where no server runs as a standby: it might be one by right by now, and
# would start its next life as a primary. With mode=fast what runs under this very guard (a unit
# with Restart= has started it) is stopped first: it is to be a primary again.
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
	if [ -n "$PROCESSES" ] && [ "$FD_mode" = fast ] && runs_under_guard; then
		stop_fast || finish "$EXIT_NOT_DONE" not_stopped "what runs under the guard did not stop"
	fi
	if [ -n "$PROCESSES" ]; then
		recovering=$(echo 'select pg_is_in_recovery()' | sql)
		[ "$recovering" = f ] ||
			finish "$EXIT_ALIVE" alive "a server runs there in recovery, or does not say: stop it first"
	fi
	{ rm -f "$DATA/standby.signal" && sync "$DATA" && rm -f "$DATA/failoverd.guard" && sync "$DATA"; } ||
		finish "$EXIT_NOT_DONE" not_unguarded "the guard could not be removed from $DATA"
	finish 0 unguarded ""
}
