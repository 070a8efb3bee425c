# Stop the server by signals to processes seen in the scan, and look that none is left.
signal_all() {
	printf '%s\n' "$PROCESSES" | while read -r pid _; do
		[ -z "$pid" ] || kill "-$1" "$pid" 2>/dev/null
	done
}

# wait_empty TENTHS
wait_empty() {
	left=$1
	while :; do
		scan
		[ -n "$PROCESSES" ] || return 0
		[ "$left" -gt 0 ] || return 1
		left=$((left - 1))
		sleep 0.1
	done
}

some_are_stopped() { printf '%s\n' "$PROCESSES" | grep -q ' [Tt]$'; }

stop_fast() {
	if [ -n "$FD_service" ] && command -v systemctl >/dev/null 2>&1; then
		timeout "$FD_fast_seconds" systemctl stop "$FD_service" >/dev/null 2>&1 </dev/null
	elif pid=$(postmaster); then
		kill -INT "$pid" 2>/dev/null
	fi
	wait_empty "$((FD_fast_seconds * 10))"
}

stop_immediately() {
	some_are_stopped && return 1
	pid=$(postmaster) || return 1
	kill -QUIT "$pid" 2>/dev/null
	wait_empty 20
}

kill_all() {
	tries=30
	while [ -n "$PROCESSES" ] && [ "$tries" -gt 0 ]; do
		signal_all KILL
		wait_empty 1 && return 0
		tries=$((tries - 1))
	done
	[ -z "$PROCESSES" ]
}

# Somebody (a unit with Restart=) started it again after the guard was laid: then it is a standby.
runs_under_guard() {
	[ "$(guard_is)" = ours ] || return 1
	postmaster >/dev/null || return 1
	started=$(sed -n 3p "$DATA/postmaster.pid" 2>/dev/null)
	laid=$(marker laid_at)
	[ -n "$started" ] && [ -n "$laid" ] && [ "$started" -gt "$laid" ] || return 1
	[ "$(echo 'select pg_is_in_recovery()' | sql)" = t ]
}

verb_stop() {
	need sync kill sleep grep date chown
	check_identity
	check_expiry
	take_epoch
	scan
	if [ "$FD_mode" = dead_only ] && postmaster >/dev/null && ! runs_under_guard; then
		facts
		finish $EXIT_ALIVE alive "a postmaster runs there"
	fi
	lay_guard || finish $EXIT_NOT_DONE not_guarded "the guard could not be written in $DATA"
	if [ -n "$PROCESSES" ] && runs_under_guard; then
		facts
		say in_recovery_under_guard yes
		finish 0 stopped ""
	fi
	[ -z "$PROCESSES" ] || [ "$FD_mode" != fast ] || some_are_stopped || stop_fast
	[ -z "$PROCESSES" ] || stop_immediately
	[ -z "$PROCESSES" ] || kill_all
	find_data_dir
	facts
	[ -z "$PROCESSES" ] || finish $EXIT_NOT_DONE not_stopped "processes are left that even SIGKILL does not end"
	! listens || finish $EXIT_NOT_DONE not_stopped "something still listens on port $FD_port"
	finish 0 stopped ""
}

verb_start() {
	need setsid
	check_identity
	check_expiry
	take_epoch
	scan
	if [ -z "$PROCESSES" ]; then
		if [ -n "$FD_service" ] && command -v systemctl >/dev/null 2>&1; then
			timeout 60 systemctl start "$FD_service" >/dev/null 2>&1 </dev/null
		else
			log=${FD_server_log:-$DATA/failoverd-start.log}
			# shellcheck disable=SC2086 # a prefix of words
			timeout 60 setsid $FD_become "$FD_bin_dir/pg_ctl" -D "$DATA" -l "$log" -w -t 50 start >/dev/null 2>&1 </dev/null
		fi
		scan
	fi
	facts
	postmaster >/dev/null || finish $EXIT_NOT_DONE not_started "the server did not start: see its log"
	finish 0 started ""
}
