# Everything that is known here, in one look.
facts() {
	say boot_id "$(boot_id)"
	read -r up _ </proc/uptime
	say uptime "$up"
	say user "$(id -un)"
	say directory_identity "$(stat -c %d:%i "$DATA")"
	say system_identifier "$FOUND_IDENTIFIER"
	say control_state "$(control 'Database cluster state')"
	say control_timeline "$(control "Latest checkpoint's TimeLineID")"
	say checkpoint_lsn "$(control 'Latest checkpoint location')"
	printf '%s\n' "$PROCESSES" | while read -r pid state; do
		[ -z "$pid" ] || say process "$pid $state"
	done
	pid=
	[ -r "$DATA/postmaster.pid" ] && read -r pid <"$DATA/postmaster.pid"
	say postmaster_pid "$pid"
	say postmaster_started "$(sed -n 3p "$DATA/postmaster.pid" 2>/dev/null)"
	if listens; then say listener yes; else say listener no; fi
	say guard "$(guard_is)"
	say guard_epoch "$(marker epoch)"
	say guard_incident "$(marker incident)"
	say epoch "$(seen_epoch)"
}

verb_status() {
	find_data_dir
	scan
	facts
	finish 0 seen ""
}
