# Start the server: by its unit where there is one, else by pg_ctl, away from this session.
verb_start() {
	need setsid
	may_act
	scan
	if [ -z "$PROCESSES" ]; then
		if has_systemd; then
			unit start 60
		else
			log=${FD_server_log:-$DATA/failoverd-start.log}
			# The lock is not handed down: the server would hold it for all its life.
			# shellcheck disable=SC2086 # a prefix of words
			timeout -k 1 60 setsid $FD_become "$FD_bin_dir/pg_ctl" -D "$DATA" -l "$log" -w -t 20 start \
				>/dev/null 2>&1 </dev/null 9<&-
		fi
		scan
		read_control
	fi
	facts
	find_postmaster || finish "$EXIT_NOT_DONE" not_started "the server did not start: see its log"
	finish 0 started ""
}
