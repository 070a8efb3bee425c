# The guard: standby.signal, so that whoever starts this server gets it read-only, and beside it
# our marker. Durable before anything is stopped.
lay_guard() {
	case $(guard_is) in
	foreign) finish $EXIT_FOREIGN_GUARD foreign_guard "a standby.signal that is not ours lies in $DATA: a standby by right" ;;
	esac
	if [ "$(guard_is)" != ours ] || [ "$(marker epoch)" != "$FD_epoch" ]; then
		printf 'epoch=%s\nincident=%s\nboot_id=%s\nlaid_at=%s\n' "$FD_epoch" "$FD_incident" "$(boot_id)" "$(date +%s)" \
			>"$DATA/failoverd.guard.new" && mv -f "$DATA/failoverd.guard.new" "$DATA/failoverd.guard" || return 1
		: >>"$DATA/standby.signal" || return 1
		[ "$(id -u)" != 0 ] || chown "$OWNER:$(stat -c %g "$DATA")" "$DATA/failoverd.guard" "$DATA/standby.signal" || return 1
	fi
	sync "$DATA/failoverd.guard" "$DATA/standby.signal" "$DATA"
}

verb_guard() {
	check_identity
	check_expiry
	take_epoch
	lay_guard || finish $EXIT_NOT_DONE not_guarded "the guard could not be written in $DATA"
	scan
	facts
	finish 0 guarded ""
}

# Ours only, and only where no server runs that is a standby because of it.
verb_unguard() {
	check_identity
	check_expiry
	take_epoch
	[ "$(guard_is)" != foreign ] || finish $EXIT_FOREIGN_GUARD foreign_guard "the standby.signal in $DATA is not ours"
	[ "$(guard_is)" = ours ] || { rm -f "$DATA/failoverd.guard"; finish 0 unguarded ""; }
	[ -z "$FD_incident" ] || [ "$(marker incident)" = "$FD_incident" ] ||
		finish $EXIT_FOREIGN_GUARD foreign_guard "the guard is of incident $(marker incident), not $FD_incident"
	rm -f "$DATA/standby.signal" && sync "$DATA" && rm -f "$DATA/failoverd.guard" && sync "$DATA" ||
		finish $EXIT_NOT_DONE not_unguarded "the guard could not be removed from $DATA"
	finish 0 unguarded ""
}
