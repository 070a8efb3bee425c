# Stop the server by signals to processes seen in the scan, and look that none is left.

# The exit status of kill says only that a process was gone already.
kill_one() { kill "-$1" "$2" 2>/dev/null || :; }

# wait_empty CENTISECONDS
wait_empty() {
	read_now
	until=$((NOW + $1))
	while :; do
		scan
		[ -n "$PROCESSES" ] || return 0
		read_now
		[ "$NOW" -lt "$until" ] || return 1
		sleep 0.02
	done
}

has_systemd() { [ -n "$FD_service" ] && [ -d /run/systemd/system ] && command -v systemctl >/dev/null 2>&1; }

# unit VERB SECONDS
unit() {
	if [ "$ME" = 0 ]; then
		timeout -k 1 "$2" systemctl "$1" "$FD_service" >/dev/null 2>&1
	else
		timeout -k 1 "$2" sudo -n systemctl "$1" "$FD_service" >/dev/null 2>&1
	fi
}

# With a unit, by it: otherwise systemd would take the stop for a failure and start it again.
stop_fast() {
	if ! has_systemd || ! unit stop "$FD_fast_seconds"; then
		scan
		! find_postmaster || kill -INT "$POSTMASTER" 2>/dev/null
	fi
	wait_empty "$((FD_fast_seconds * 100))"
}

# To a stopped process SIGQUIT would stay pending.
stop_immediately() {
	some_are_stopped && return 1
	find_postmaster || return 1
	kill -QUIT "$POSTMASTER" 2>/dev/null
	wait_empty 200
}

# A unit may start it anew, each time; once that is after the guard, it is a standby: no more of it.
kill_all() {
	read_now
	give_up=$((NOW + 300))
	while [ -n "$PROCESSES" ] && [ "$NOW" -lt "$give_up" ] && ! started_after_guard; do
		each_process kill_one KILL
		wait_empty 10
	done
	while [ -n "$PROCESSES" ] && [ "$NOW" -lt "$give_up" ] && ! runs_under_guard; do
		sleep 0.1
		scan
		read_now
	done
}

stopped_under_guard() {
	facts
	say in_recovery_under_guard yes
	finish 0 stopped ""
}

verb_stop() {
	case $FD_mode in fast | immediate | dead_only) ;; *) cannot "no such mode of stop: $FD_mode" ;; esac
	may_act
	scan
	under_guard=no
	if runs_under_guard; then
		under_guard=yes
	elif [ "$FD_mode" = dead_only ] && postmaster_lives; then
		facts
		finish "$EXIT_ALIVE" alive "a postmaster runs there"
	fi
	guard_or_finish
	[ "$under_guard" = no ] || stopped_under_guard
	scan # again: what started before the guard was there may write
	if [ -n "$PROCESSES" ] && [ "$FD_mode" = fast ] && ! some_are_stopped; then stop_fast; fi
	[ -z "$PROCESSES" ] || [ "$FD_mode" = dead_only ] || stop_immediately
	[ -z "$PROCESSES" ] || kill_all
	read_control
	[ -z "$PROCESSES" ] || ! runs_under_guard || stopped_under_guard
	facts
	[ -z "$PROCESSES" ] || finish "$EXIT_NOT_DONE" not_stopped "processes are left that even SIGKILL does not end"
	! listens || finish "$EXIT_NOT_DONE" not_stopped "something still listens on port $FD_port"
	[ "$GUARD" = ours ] || finish "$EXIT_NOT_DONE" not_stopped "the guard was taken away meanwhile"
	finish 0 stopped ""
}
