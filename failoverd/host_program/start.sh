# A unit may say that it has started before its postmaster has told its number.
wait_for_postmaster() {
	read_now
	until=$((NOW + 1000))
	while scan && ! find_postmaster && [ "$NOW" -lt "$until" ]; do
		sleep 0.05
		read_now
	done
}

# Start the server the way it is run here, away from this session.
verb_start() {
	need setsid
	is_number "$FD_start_seconds" || cannot "start_seconds is not a number"
	may_act
	scan
	SAID=
	if [ -z "$PROCESSES" ]; then
		! start_service || wait_for_postmaster
		scan
		read_control
	fi
	facts
	find_postmaster || finish "$EXIT_NOT_DONE" not_started "the server did not start: ${SAID:-see its log}"
	finish 0 started ""
}
