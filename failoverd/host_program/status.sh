# Everything that is known here, in one look.
facts() {
	read_boot
	read_guard
	read_epoch
	say boot_id "$BOOT_ID"
	say uptime "$UPTIME"
	say user "$(id -un)"
	say directory_identity "$DIRECTORY_IDENTITY"
	say system_identifier "$SYSTEM_IDENTIFIER"
	say control_state "$CONTROL_STATE"
	say control_timeline "$CONTROL_TIMELINE"
	say checkpoint_lsn "$CHECKPOINT_LSN"
	each_process say_process
	say postmaster_pid "$(pid_file 1)"
	say postmaster_started "$(pid_file 3)"
	if listens; then say listener yes; else say listener no; fi
	say guard "$GUARD"
	say guard_epoch "$(marker epoch)"
	say guard_incident "$(marker incident)"
	say epoch "$SEEN_EPOCH"
}

say_process() { say process "$1 $2"; }

verb_status() {
	find_data_dir
	scan
	facts
	finish 0 seen ""
}
