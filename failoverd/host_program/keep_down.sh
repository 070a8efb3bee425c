# After the promotion: an old primary under our guard is stopped by its service, and stays down over
# a start of its unit and a boot of its host. The guard holds without it; nobody reads stale rows.

# What was changed, so that it can be put back: outside the data directory, which may be made anew.
kept_down_file() { KEPT_DOWN=$HOST_STATE/$SYSTEM_IDENTIFIER.kept_down; }

note_kept_down() {
	kept_down_file
	{ printf '%s\n' "$*" >"$KEPT_DOWN" && sync "$KEPT_DOWN"; } 2>/dev/null
}

# BY: how it is kept down; LACK: or what stood in the way. Source: pg_createcluster(1), start.conf; systemctl(1), mask.
keep_service_down() {
	BY='' LACK=''
	find_unit
	START_CONF=/etc/postgresql/$FD_debian_cluster/start.conf
	if [ -n "$FD_debian_cluster" ] && [ -w "$START_CONF" ]; then
		keep_cluster_down
	elif [ -n "$UNIT" ]; then
		keep_unit_down
	else
		LACK="it has neither a unit nor a start.conf here: the guard alone keeps it read-only"
	fi
}

keep_cluster_down() {
	word=$(sed -n 's/#.*//; s/[[:space:]]//g; /./{p;q;}' "$START_CONF")
	if [ "$word" = disabled ] || { note_kept_down start_conf "${word:-auto}" && write_start_conf disabled; }; then
		BY="disabled in $START_CONF"
	else
		LACK="$START_CONF could not be written"
	fi
}

write_start_conf() {
	{ printf '%s\n' "# failoverd keeps an old primary down; it was: $word" "$1" >"$START_CONF" && sync "$START_CONF"; } 2>/dev/null
}

# A unit file in /etc/systemd/system cannot be masked; without its links it is not started at boot.
keep_unit_down() {
	enabled=$(systemctl is-enabled "$UNIT" 2>/dev/null </dev/null 9<&-)
	case $enabled in
	masked) BY="$UNIT is masked" ;;
	*)
		if note_kept_down unmask && LACK=$(unit mask 10); then
			BY="$UNIT is masked"
		elif [ "$enabled" != enabled ]; then
			BY="$UNIT is not enabled"
			rm -f "$KEPT_DOWN"
		elif note_kept_down enable && LACK=$(unit disable 10); then
			BY="$UNIT is disabled"
		else
			rm -f "$KEPT_DOWN"
			LACK="systemctl mask $UNIT: $(first_line "${LACK:-$KEPT_DOWN cannot be written}")"
		fi
		;;
	esac
}

# Put back what was changed here, and nothing that somebody else has.
release_service() {
	kept_down_file
	[ -r "$KEPT_DOWN" ] || return 0
	{ read -r how word <"$KEPT_DOWN"; } 2>/dev/null
	case ${how-} in
	unmask | enable)
		[ -z "$UNIT" ] || said=$(unit "$how" 10) || {
			SAID="systemctl $how $UNIT: $(first_line "$said")"
			return 1
		}
		;;
	start_conf)
		START_CONF=/etc/postgresql/$FD_debian_cluster/start.conf
		! grep -q '^disabled' "$START_CONF" 2>/dev/null ||
			{ printf '%s\n' "$word" >"$START_CONF"; } 2>/dev/null || {
			SAID="$START_CONF says disabled, and cannot be written"
			return 1
		}
		;;
	esac
	rm -f "$KEPT_DOWN"
}

# It may just be starting, and have told nobody yet.
comes_up_under_guard() {
	read_now
	until=$((NOW + 300))
	while ! runs_under_guard; do
		read_now
		[ "$NOW" -lt "$until" ] || return 1
		sleep 0.2
		scan
	done
}

# Only under our guard: what runs there is a standby of nobody.
verb_keep_down() {
	may_act
	scan
	read_guard
	[ "$GUARD" = ours ] ||
		finish "$EXIT_FOREIGN_GUARD" foreign_guard "it is not under our guard: somebody has put it right"
	[ -z "$PROCESSES" ] || comes_up_under_guard || finish "$EXIT_ALIVE" alive "a server runs there that is no standby"
	keep_service_down
	scan
	[ -z "$PROCESSES" ] || stop_fast || stop_immediately || :
	facts
	[ -z "$PROCESSES" ] || finish "$EXIT_NOT_DONE" not_stopped "processes are left"
	say kept_down "$BY"
	finish 0 stopped "$LACK"
}
