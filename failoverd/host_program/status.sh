# Everything that is known here, in one look.
facts() {
	read_boot
	read_guard
	read_epoch
	read_pid_file
	RECOVERING=
	case $CONTROL_STATE in *recovery*) read_progress ;; esac
	say boot_id "$BOOT_ID"
	say uptime "$UPTIME"
	say user "$(id -un)"
	say directory_identity "$DIRECTORY_IDENTITY"
	say system_identifier "$SYSTEM_IDENTIFIER"
	say control_state "$CONTROL_STATE"
	say control_timeline "$CONTROL_TIMELINE"
	say checkpoint_lsn "$CHECKPOINT_LSN"
	each_process say_process
	say postmaster_pid "$PID_FILE_PID"
	say postmaster_started "$PID_FILE_STARTED"
	if listens; then say listener yes; else say listener no; fi
	say guard "$GUARD"
	say guard_epoch "$GUARD_EPOCH"
	say guard_incident "$GUARD_INCIDENT"
	say epoch "$SEEN_EPOCH"
	say recovering "$RECOVERING"
	say other_manager "$OTHER_MANAGER"
}

say_process() { say process "$1 $2"; }

verb_status() {
	find_data_dir
	scan
	facts
	say_dead_man
	finish 0 seen ""
}
