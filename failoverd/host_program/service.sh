# How this server is run: by commands of the operator's own, by its systemd unit, by Debian's
# pg_ctlcluster, or by pg_ctl. None of it is on the fast path of a crash.

# UNIT: of systemd, where that runs here; empty: none. Source: sd_booted(3); postgresql@.service.
find_unit() {
	UNIT=$FD_service
	[ -n "$UNIT" ] || [ -z "$FD_debian_cluster" ] ||
		UNIT=postgresql@${FD_debian_cluster%%/*}-${FD_debian_cluster#*/}
	[ -d /run/systemd/system ] && command -v systemctl >/dev/null 2>&1 || UNIT=
}

# unit VERB SECONDS. What it complains of goes to standard output.
unit() {
	as_root=
	{ [ "$ME" = 0 ] || ! command -v sudo >/dev/null 2>&1; } || as_root='sudo -n'
	# shellcheck disable=SC2086 # a prefix of words
	timeout -k 1 "$2" $as_root systemctl "$1" "$UNIT" 2>&1 </dev/null 9<&-
}

# of_ones_own SECONDS LINES [setsid]: a command whose words are lines. Its output goes to a file:
# what it starts must not hold our pipe. The lock is not handed down, either.
of_ones_own() {
	said_file=$HOST_STATE/said
	seconds=$1 away=${3-}
	IFS=$LINE_END
	# shellcheck disable=SC2086 # a word a line
	set -- $2
	unset IFS
	{ true >"$said_file"; } 2>/dev/null || said_file=/dev/null
	# shellcheck disable=SC2086 # a word, or none
	timeout -k 1 "$seconds" $away "$@" >"$said_file" 2>&1 </dev/null 9<&-
	ended=$?
	[ "$ended" = 0 ] || SAID="$1 ended with $ended: $(tail -n 1 "$said_file" 2>/dev/null)"
	return "$ended"
}

# Whether the service has been told to stop; else signals must do it. With a unit, by it: otherwise
# systemd would take the stop for a failure and start it again.
service_stops() {
	find_unit
	if [ -n "$FD_stop_command" ]; then
		of_ones_own "$FD_command_seconds" "$FD_stop_command"
	elif [ -n "$UNIT" ]; then
		SAID=$(unit stop "$FD_fast_seconds")
	else
		return 1
	fi
}

# SAID: what stood in the way.
start_service() {
	SAID=
	find_unit
	release_service || return 1
	if [ -n "$FD_start_command" ]; then
		of_ones_own "$FD_command_seconds" "$FD_start_command" setsid
	elif [ -n "$UNIT" ] && SAID=$(unit start "$FD_start_seconds"); then
		return 0
	elif [ -n "$FD_service" ] && [ -n "$UNIT" ]; then
		SAID="systemctl start $UNIT: $(first_line "$SAID")"
		return 1
	elif [ -n "$FD_debian_cluster" ]; then
		# Its configuration is in /etc/postgresql, which pg_ctl does not know of.
		words="pg_ctlcluster --skip-systemctl-redirect ${FD_debian_cluster%%/*} ${FD_debian_cluster#*/} start"
		of_ones_own "$FD_start_seconds" "$(printf '%s' "$words" | tr ' ' '\n')" setsid
	else
		start_by_pg_ctl
	fi
}

start_by_pg_ctl() {
	log=${FD_server_log:-$DATA/failoverd-start.log}
	# shellcheck disable=SC2086 # a prefix of words
	timeout -k 1 "$((FD_start_seconds + 2))" setsid $FD_become "$FD_bin_dir/pg_ctl" -D "$DATA" -l "$log" -w \
		-t "$FD_start_seconds" start >/dev/null 2>&1 </dev/null 9<&-
}
