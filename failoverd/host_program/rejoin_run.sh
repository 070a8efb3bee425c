# The process that brings a data directory back as a standby: it belongs to no session, and whoever
# kills it at any instant leaves a directory that starts as a standby or not at all. While
# pg_rewind is at work, which removes standby.signal, the directory may be searched by others (mode
# o+x): no server starts on such a one. Source: src/backend/utils/init/miscinit.c, checkDataDir.
#
# Three ways, the first that does: follow (nothing was written past the fork: it need only stream),
# rewind, copy.

verb_rejoin_run() {
	trap '' HUP PIPE
	find_work
	# shellcheck disable=SC2153 # of rejoin.sh
	exec 8<"$WORK/lock"
	flock -w 5 8 || exit 1
	read_rejoin
	# shellcheck disable=SC2317 # nobody is there to tell: the state file is
	finish() { rejoin_failed "$3"; }
	# shellcheck disable=SC2317
	cannot() { rejoin_failed "$1"; }
	find_data_dir
	read_boot
	with_right
	keep_guard
	stop_what_runs
	exec 9<&-
	{ keep_passfile && keep_own_files; } || rejoin_failed "cannot write in $WORK"
	if [ -e "$WORK/rewound" ] && [ "$FD_method" = auto ]; then
		METHOD=rewind
	elif [ -e "$WORK/spoiled" ] || [ "$FD_method" = copy ]; then
		copy
	else
		find_end
		if is_followed; then METHOD=follow; else rewind_or_copy; fi
	fi
	dress "$DATA"
	with_right
	enter starting
	exec 9<&-
	start_as_standby
	enter started
	exit 0
}

rejoin_failed() {
	REJOIN_REASON=$(first_line "$1")
	rm -f "$WORK/passfile"
	enter failed
	exit 1
}

# Before each act on the directory: alone, of this cluster, and not overtaken by a later incident.
with_right() {
	[ "$SYSTEM_IDENTIFIER" = "$FD_system_identifier" ] || rejoin_failed "$DATA belongs to another cluster ($SYSTEM_IDENTIFIER)"
	exec 9<"$DATA"
	flock -w 30 9 || rejoin_failed "another act on $DATA is under way"
	read_epoch
	# Before the first incident nobody has written an owner.
	{ [ "$SEEN_EPOCH" = "$FD_epoch" ] && { [ -z "$SEEN_OWNER" ] || [ "$SEEN_OWNER" = "$FD_owner" ]; }; } ||
		rejoin_failed "a later incident (epoch $SEEN_EPOCH) has taken this host over"
}

# A standby.signal of anybody keeps it from starting read-write; without one, ours is laid.
keep_guard() {
	read_guard
	[ "$GUARD" != none ] || lay_guard 2>/dev/null || rejoin_failed "the guard could not be written in $DATA"
}

stop_what_runs() {
	scan
	[ -n "$PROCESSES" ] || return 0
	[ "$(echo 'select pg_is_in_recovery()' | sql)" != f ] || rejoin_failed "it takes writes: fence it first"
	FD_fast_seconds=30
	some_are_stopped || stop_fast || :
	[ -z "$PROCESSES" ] || stop_immediately || kill_all
	scan
	[ -z "$PROCESSES" ] || rejoin_failed "the server does not stop"
	read_control
}

keep_passfile() {
	[ -n "$FD_secret_passfile" ] || return 0
	printf '%s\n' "$FD_secret_passfile" >"$WORK/passfile" && owned "$WORK/passfile"
}

owned() { [ "$ME" != 0 ] || chown "$OWNER:$GROUP" "$@"; }

# The files of its own that lie in the data directory: a rewind or a copy brings the other's. Kept
# once: after that they are the other's.
keep_own_files() {
	[ ! -e "$WORK/saved" ] || return 0
	{ rm -rf "$WORK/saved.new" && mkdir "$WORK/saved.new"; } || return 1
	set +f
	for file in "$DATA"/*; do
		case ${file##*/} in
		PG_VERSION | backup_label* | tablespace_map* | backup_manifest* | postmaster.* | *.signal | failoverd.* | \
			current_logfiles*) continue ;;
		esac
		[ -f "$file" ] || [ "${file##*/}" = conf.d ] || continue
		cp -Rp "$file" "$WORK/saved.new/" || return 1
	done
	set -f
	sync "$WORK/saved.new" && mv "$WORK/saved.new" "$WORK/saved" && sync "$WORK"
}

as_owner() {
	# shellcheck disable=SC2086 # a prefix of words
	timeout -k 5 "$FD_limit" $FD_become "$@" 9<&- </dev/null
}

# lsn LSN: LSN_VALUE, in bytes.
lsn() { LSN_VALUE=$((0x${1%%/*} * 4294967296 + 0x${1##*/})); }

# END: where its WAL ends. After a clean stop as a primary that is the shutdown checkpoint. Else it
# is started once, as a standby of nobody that nobody can reach, which replays what there is, and
# is stopped again: pg_rewind takes nothing that was not shut down, and its own crash recovery
# fails where a standby.signal lies.
find_end() {
	END=$CHECKPOINT_LSN END_IS=start
	[ "$CONTROL_STATE" != 'shut down' ] || return 0
	enter recovering
	room=$(mktemp -d "${TMPDIR:-/tmp}/failoverd.XXXXXX") || rejoin_failed "mktemp failed"
	owned "$room"
	options="-c listen_addresses='' -c unix_socket_directories='$room' -c primary_conninfo='' -c primary_slot_name=''"
	options="$options -c restore_command='' -c recovery_target_timeline=current -c hot_standby=on -c archive_mode=off"
	options="$options -c recovery_target='' -c recovery_target_time='' -c recovery_target_xid=''"
	options="$options -c recovery_target_lsn='' -c recovery_target_name=''"
	options="$options -c logging_collector=off -c ssl=off$(own_config_file)"
	with_right
	keep_guard
	forget_dead_postmaster
	as_owner "$FD_bin_dir/pg_ctl" -D "$DATA" -l "$WORK/recovery.log" -W -o "$options" start >/dev/null 2>&1 8<&-
	exec 9<&-
	wait_for_replay "$room" || {
		stop_recovery
		rm -rf "$room"
		rejoin_failed "it could not be recovered as a standby: $(tail -n 1 "$WORK/recovery.log" 2>/dev/null)"
	}
	END=$(echo 'select pg_last_wal_replay_lsn()' | FD_socket_dir=$room sql) END_IS=end
	stop_recovery
	rm -rf "$room"
	read_control
	case $END in *[!0-9A-F/]* | '') rejoin_failed "it did not say where its WAL ends: $(first_line "$END")" ;; esac
	[ "$CONTROL_STATE" = 'shut down in recovery' ] || rejoin_failed "it was not shut down cleanly ($CONTROL_STATE)"
}

stop_recovery() {
	as_owner "$FD_bin_dir/pg_ctl" -D "$DATA" -m fast -w -t 300 stop >/dev/null 2>&1 8<&- ||
		as_owner "$FD_bin_dir/pg_ctl" -D "$DATA" -m immediate -w -t 60 stop >/dev/null 2>&1 8<&- || :
}

own_config_file() {
	find_config_file "$DATA"
	[ -z "$CONFIG_FILE" ] || printf " -c config_file='%s'" "$CONFIG_FILE"
}

# Line 8 of postmaster.pid says `ready` once a hot standby is consistent: then all of the WAL that
# it has was replayed. Source: src/include/utils/pidfile.h
wait_for_replay() {
	read_now
	until=$((NOW + FD_limit * 100))
	begun=$((NOW + 1000))
	while :; do
		scan
		# A file that a dead server has left may say anything.
		if find_postmaster; then
			case $(sed -n 8p "$DATA/postmaster.pid" 2>/dev/null) in ready*) return 0 ;; esac
		fi
		read_now
		[ -n "$PROCESSES" ] || [ "$NOW" -lt "$begun" ] || return 1
		[ "$NOW" -lt "$until" ] || return 1
		sleep 0.1
	done
}

# Its WAL ends before the fork, or on the source's own timeline: FORK is empty.
is_followed() {
	FORK=
	[ "$CONTROL_TIMELINE" != "$FD_timeline" ] || return 0
	for one in $FD_history; do
		[ "${one%%:*}" != "$CONTROL_TIMELINE" ] || FORK=${one#*:}
	done
	[ -n "$FORK" ] || return 1
	lsn "$FORK"
	fork=$LSN_VALUE
	lsn "$END"
	# The checkpoint's own record follows its position.
	if [ "$END_IS" = start ]; then [ "$LSN_VALUE" -lt "$fork" ]; else [ "$LSN_VALUE" -le "$fork" ]; fi
}

can_rewind() {
	[ -n "$FORK" ] || return 1
	read_control
	printf '%s\n' "$said" | grep -q -E '^(wal_log_hints setting: *on|Data page checksum version: *[1-9])'
}

rewind_or_copy() {
	if ! can_rewind; then
		copy
	elif with_right && exec 9<&- && run_rewind --dry-run; then
		rewind
	else
		copy
	fi
}

# pg_rewind must say that the two have diverged: without it, exit status 0 is no proof.
run_rewind() {
	: >"$WORK/log"
	owned "$WORK/log"
	as_owner "$FD_bin_dir/pg_rewind" --no-ensure-shutdown "$@" -D "$DATA" \
		--source-server="$FD_source_conninfo passfile='$WORK/passfile'" >>"$WORK/log" 2>&1 || return 1
	grep -q 'servers diverged at WAL location' "$WORK/log"
}

# What it alone has written is WAL from the fork on, which a rewind throws away.
keep_its_wal() {
	size=$(printf '%s\n' "$said" | sed -n 's/^Bytes per WAL segment: *//p')
	is_number "$size" || return 1
	KEPT=$WORK/wal-$FD_epoch
	mkdir -p "$KEPT" || return 1
	each=$((4294967296 / size)) number=$((fork / size))
	oldest=$(printf '%08X%08X%08X' "$CONTROL_TIMELINE" "$((number / each))" "$((number % each))")
	set +f
	for file in "$DATA/pg_wal/$(printf '%08X' "$CONTROL_TIMELINE")"????????????????; do
		if [ ! -f "$file" ] || is_before "${file##*/}" "$oldest"; then continue; fi
		cp -p "$file" "$KEPT/" || return 1
	done
	set -f
}

is_before() { [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort | head -n 1)" = "$1" ]; }

rewind() {
	METHOD=rewind
	read_control
	keep_its_wal || rejoin_failed "the WAL that only it has could not be kept aside in $WORK"
	with_right
	enter rewinding
	{ : >"$WORK/spoiled" && sync "$WORK/spoiled" "$WORK" && chmod o+x "$DATA" && sync "$DATA"; } ||
		rejoin_failed "cannot write in $WORK"
	exec 9<&-
	run_rewind --progress || rejoin_failed "pg_rewind failed half way: $(complaint_of_log)"
	{ : >"$DATA/standby.signal" && owned "$DATA/standby.signal" && sync "$DATA/standby.signal" "$DATA"; } ||
		rejoin_failed "the guard could not be written in $DATA"
	{ : >"$WORK/rewound" && sync "$WORK/rewound" && rm -f "$WORK/spoiled" && sync "$WORK"; } || rejoin_failed "cannot write in $WORK"
}

complaint_of_log() {
	tr '\r' '\n' <"$WORK/log" | grep -m 1 -E 'error|fatal|ERROR|FATAL' || tail -n 1 "$WORK/log"
}

# Into a new directory: the old one stays as it is, guarded, until it is put aside in one rename.
copy() {
	METHOD=copy
	[ "$FD_tablespaces" = 0 ] || rejoin_failed "it must be copied anew, which is not done where there are tablespaces: docs/recover.md"
	[ "$(stat -c %d "$WORK")" = "$(stat -c %d "$DATA")" ] ||
		rejoin_failed "it must be copied anew, and $DATA is a file system of its own: docs/recover.md"
	rm -rf "$WORK/new"
	free=$(df -Pk "$WORK" | sed -n '2s/  */ /gp' | cut -d ' ' -f 4)
	{ is_number "$free" && is_number "$FD_total" && [ "$free" -gt "$((FD_total + FD_total / 10 + 65536))" ]; } ||
		rejoin_failed "it must be copied anew: $FD_total kB and a tenth more are needed, and $free kB are free beside $DATA"
	REJOIN_TOTAL=$FD_total
	with_right
	enter copying
	exec 9<&-
	{ mkdir -m 701 "$WORK/new" && chmod 701 "$WORK/new" && owned "$WORK/new"; } || rejoin_failed "cannot write in $WORK"
	: >"$WORK/log"
	owned "$WORK/log"
	as_owner "$FD_bin_dir/pg_basebackup" -D "$WORK/new" -X stream -c fast --no-password -d \
		"$FD_source_conninfo passfile='$WORK/passfile'" >>"$WORK/log" 2>&1 || rejoin_failed "pg_basebackup failed: $(complaint_of_log)"
	: >"$WORK/new/standby.signal" && owned "$WORK/new/standby.signal" && sync "$WORK/new/standby.signal" "$WORK/new"
	dress "$WORK/new"
	with_right
	swap
}

swap() {
	KEPT=$WORK/old-$FD_epoch
	while [ -e "$KEPT" ]; do KEPT=${KEPT}a; done
	enter swapping
	mv "$DATA" "$KEPT" || rejoin_failed "$DATA cannot be put aside"
	mv "$WORK/new" "$DATA" || rejoin_failed "the copy cannot be put in place"
	sync "$WORK" "${WORK%/*}"
	rm -f "$WORK/spoiled" "$WORK/rewound"
	exec 9<&-
	find_data_dir
}

# dress DIRECTORY: its own files and what it follows, and only then may a server start on it.
dress() {
	[ -e "$1/standby.signal" ] || rejoin_failed "there is no standby.signal in $1"
	set +f
	for file in "$WORK"/saved/*; do # one by one: the directory's own mode and owner stay
		if [ ! -e "$file" ] || [ "$METHOD" = follow ]; then continue; fi
		cp -Rp "$file" "$1/" || rejoin_failed "its own configuration files could not be put back in $1"
	done
	rm -rf "$1"/pg_replslot/*
	set -f
	# A recovery target that a restore has left there would end its following, and promote it.
	{
		sed -e '/^[ \t]*\(primary_conninfo\|primary_slot_name\)[ \t=]/d' \
			-e '/^[ \t]*recovery_target\(_time\|_xid\|_lsn\|_name\|_inclusive\|_action\|\)[ \t=]/d' "$1/postgresql.auto.conf" &&
			printf '%s\n' "$FD_secret_settings"
	} >"$WORK/auto.conf" 2>/dev/null || rejoin_failed "postgresql.auto.conf cannot be written"
	owned "$WORK/auto.conf"
	{ sync "$WORK/auto.conf" && mv -f "$WORK/auto.conf" "$1/postgresql.auto.conf"; } || rejoin_failed "postgresql.auto.conf cannot be written"
	hold_at_target "$1" || rejoin_failed "postgresql.auto.conf cannot be written"
	if [ ! -e "$1/failoverd.guard" ]; then
		printf 'epoch=%s\nincident=%s\nboot_id=%s\nlaid_at=%s\n' "$FD_epoch" "$FD_epoch" "$BOOT_ID" "$(date +%s)" \
			>"$1/failoverd.guard" && owned "$1/failoverd.guard"
	fi
	{ sync "$1/failoverd.guard" "$1" && chmod o-x "$1" && sync "$1"; } || rejoin_failed "$1 cannot be made ready"
}

# A zombie that nobody reaps would keep a server from starting; what the scan finds lives.
forget_dead_postmaster() {
	scan
	[ -z "$PROCESSES" ] || return 0
	rm -f "$DATA/postmaster.pid"
	socket_lock=$FD_socket_dir/.s.PGSQL.$FD_port.lock
	if { read -r holder <"$socket_lock"; } 2>/dev/null && is_number "$holder" && read_stat "/proc/$holder" &&
		[ "$STATE" = Z ]; then
		rm -f "$socket_lock"
	fi
}

start_as_standby() {
	keep_guard
	forget_dead_postmaster
	start_service 8<&- || :
	scan
	find_postmaster || rejoin_failed "the server did not start: ${SAID:-see its log}"
}
