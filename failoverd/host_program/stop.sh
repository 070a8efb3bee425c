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

# Whoever runs it first, then the postmaster itself: its unit may never have started this one.
stop_fast() {
	read_now
	fast_until=$((NOW + FD_fast_seconds * 100))
	service_stops || :
	scan
	! find_postmaster || kill -INT "$POSTMASTER" 2>/dev/null
	read_now
	[ "$NOW" -lt "$fast_until" ] || fast_until=$((NOW + 100))
	wait_empty "$((fast_until - NOW))"
}

# To a stopped process SIGQUIT would stay pending.
stop_immediately() {
	some_are_stopped && return 1
	find_postmaster || return 1
	kill -QUIT "$POSTMASTER" 2>/dev/null
	wait_empty "$((FD_immediate_seconds * 100))"
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
	say_wal_beside
	finish 0 stopped ""
}

verb_stop() {
	case $FD_mode in fast | immediate | dead_only) ;; *) cannot "no such mode of stop: $FD_mode" ;; esac
	is_number "$FD_immediate_seconds" || cannot "immediate_seconds is not a number"
	may_act
	scan
	[ -z "$OTHER_MANAGER" ] ||
		finish "$EXIT_OTHER_MANAGER" other_manager "$OTHER_MANAGER runs on this host: two would undo each other's fences"
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
	say_wal_beside
	finish 0 stopped ""
}
