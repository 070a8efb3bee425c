# An old primary, or a standby that has diverged, comes back: what starts, looks at and ends the
# process that does it (rejoin_run.sh), and what the new primary does for it.
#
# All of it lies in one folder beside the data directory, on the same file system:
#   lock      held by that process and its children for as long as one of them lives
#   state     key=value: phase, method, source, reason ...; replaced as a whole
#   spoiled   a rewind was begun and has not ended: the directory is good for nothing but a copy
#   rewound   a rewind has ended: it is never run twice before the server has streamed
#   saved/    the node's own configuration files
#   new/      the copy that is being made; old-EPOCH: what it has replaced
#   wal-EPOCH the WAL that only the node had, from the fork on, kept before a rewind
#   log       what pg_rewind and pg_basebackup have said

# PLACE: of the data directory, resolved; WORK: the folder. Whether they are there or not: a data
# directory that is just being replaced is not, and a symbolic link to it leads to nothing.
find_work() {
	{ PLACE=$(readlink -f "$FD_data_dir") && [ -d "${PLACE%/*}/" ]; } ||
		finish "$EXIT_NO_DATA_DIR" no_data_dir "no data directory at $FD_data_dir"
	WORK=$PLACE.failoverd
}

# What the state file says. PHASE is empty where nothing was begun.
read_rejoin() {
	PHASE='' METHOD='' REJOIN_SOURCE='' REJOIN_REASON='' REJOIN_SINCE=0 REJOIN_BOOT='' REJOIN_TOTAL='' KEPT=''
	[ -r "$WORK/state" ] || return 0
	while IFS='=' read -r key value; do
		case $key in
		phase) PHASE=$value ;;
		method) METHOD=$value ;;
		source) REJOIN_SOURCE=$value ;;
		reason) REJOIN_REASON=$value ;;
		since) REJOIN_SINCE=$value ;;
		boot_id) REJOIN_BOOT=$value ;;
		total) REJOIN_TOTAL=$value ;;
		kept) KEPT=$value ;;
		esac
	done <"$WORK/state"
}

# enter PHASE: durable when it returns.
enter() {
	PHASE=$1
	read_boot
	read_now
	printf 'phase=%s\nmethod=%s\nsource=%s\nreason=%s\nsince=%s\nboot_id=%s\ntotal=%s\nkept=%s\n' "$PHASE" "$METHOD" \
		"$REJOIN_SOURCE" "$REJOIN_REASON" "$NOW" "$BOOT_ID" "$REJOIN_TOTAL" "$KEPT" >"$WORK/state.new" &&
		sync "$WORK/state.new" && mv -f "$WORK/state.new" "$WORK/state" && sync "$WORK"
}

# Whether the process that rejoins, or a child that it has left behind, lives.
rejoin_runs() {
	[ -e "$WORK/lock" ] || return 1
	(exec 8<"$WORK/lock" && ! flock -n 8)
}

# "a/b kB" of the tool's own progress, else the size of the copy so far.
say_progress() {
	case $PHASE in
	copying) say copied_kb "$(du -sk "$WORK/new" 2>/dev/null | sed 's/[^0-9].*//')" ;;
	rewinding)
		done_kb=$(tr '\r' '\n' <"$WORK/log" 2>/dev/null | grep -E '^ *[0-9]+/[0-9]+ kB' | tail -n 1)
		done_kb=${done_kb%% kB*}
		say copied_kb "$(printf '%s' "${done_kb%%/*}" | tr -d ' ')"
		[ -z "$done_kb" ] || REJOIN_TOTAL=${done_kb##*/}
		;;
	esac
	say total_kb "$REJOIN_TOTAL"
}

say_rejoin() {
	read_boot
	read_now
	say boot_id "$BOOT_ID"
	say uptime "$UPTIME"
	say phase "${PHASE:-none}"
	say method "$METHOD"
	say source "$REJOIN_SOURCE"
	say failure "$REJOIN_REASON"
	say kept "$KEPT"
	if [ "$REJOIN_BOOT" = "$BOOT_ID" ] && is_number "$REJOIN_SINCE"; then say seconds "$(((NOW - REJOIN_SINCE) / 100))"; fi
	say_progress
	if rejoin_runs; then say running yes; else say running no; fi
}

# Needs no right, and changes nothing.
verb_rejoin_status() {
	need flock du tail tr
	find_work
	read_rejoin
	say_rejoin
	finish 0 seen ""
}

# FD_method: auto (whatever does), or copy. FD_source: the node that it shall follow. FD_forward: the
# names of what is known of this node, for the process to know, too.
verb_rejoin_start() {
	need setsid flock mkdir du df tail tr cp mv
	[ -n "$FD_program" ] || cannot "no program was given"
	case $FD_method in auto | copy) ;; *) cannot "no such method of rejoining: $FD_method" ;; esac
	find_work
	read_rejoin
	! rejoin_runs || already_running
	finish_swap
	may_act
	make_work || cannot "no folder can be made beside $DATA as $(id -un): give its parent to the owner of the data directory"
	scan
	[ -z "$OTHER_MANAGER" ] ||
		finish "$EXIT_OTHER_MANAGER" other_manager "$OTHER_MANAGER runs on this host: two would undo each other's acts"
	if [ -n "$PROCESSES" ] && [ "$(echo 'select pg_is_in_recovery()' | sql)" = f ]; then
		finish "$EXIT_ALIVE" alive "it takes writes: fence it first"
	fi
	[ -e "$WORK/spoiled" ] || [ -e "$WORK/rewound" ] || rm -rf "$WORK/saved"
	METHOD='' REJOIN_SOURCE=$FD_source REJOIN_REASON='' REJOIN_TOTAL=''
	enter begun || cannot "cannot write in $WORK"
	exec 9<&-
	start_rejoining
	read_rejoin
	say_rejoin
	finish 0 started ""
}

already_running() {
	say_rejoin
	finish 0 running ""
}

# It was cut off between two renames: the copy is whole, and what it replaces lies aside.
finish_swap() {
	{ [ "$PHASE" = swapping ] && [ ! -e "$PLACE" ] && [ -f "$WORK/new/PG_VERSION" ]; } || return 0
	{ mv "$WORK/new" "$PLACE" && sync "$WORK" "${WORK%/*}"; } || cannot "the copy in $WORK/new cannot be put in place"
}

make_work() {
	[ -d "$WORK" ] || mkdir -m 700 "$WORK" 2>/dev/null || return 1
	[ ! -L "$WORK" ] || return 1
	[ "$ME" != 0 ] || chown "$OWNER:$GROUP" "$WORK"
	{ : >>"$WORK/lock"; } 2>/dev/null
}

# As the watcher of the dead-man: away from this session, without its streams.
start_rejoining() {
	{
		for name in $FD_forward system_identifier owner epoch incident source method history timeline total \
			tablespaces limit source_conninfo secret_passfile secret_settings; do
			eval "value=\${FD_$name-}"
			printf 'FD_%s=%s\n' "$name" "$(in_quotes "$value")"
		done
		printf 'FD_verb=rejoin_run\n%s\n' "$FD_program"
	} | setsid sh -s failoverd-rejoin >/dev/null 2>&1 &
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		rejoin_runs && break
		sleep 0.05
	done
}

# It streams, as both ends have said: it is a standby by right from now on. The directory that a
# copy has replaced stays where it is, for somebody to look at and remove.
verb_rejoin_finish() {
	find_work
	! rejoin_runs || finish "$EXIT_NOT_DONE" running "it is not over yet"
	may_act
	read_rejoin
	[ -e "$DATA/standby.signal" ] || finish "$EXIT_NOT_DONE" not_finished "there is no standby.signal in $DATA"
	[ "$(echo 'select pg_is_in_recovery()' | sql)" = t ] || finish "$EXIT_NOT_DONE" not_finished "it is not in recovery"
	{ rm -f "$DATA/failoverd.guard" && sync "$DATA"; } || finish "$EXIT_NOT_DONE" not_finished "the marker of the guard stays"
	say method "$METHOD"
	say kept "$KEPT"
	rm -rf "$WORK/saved" "$WORK/new" "$WORK/rewound" "$WORK/spoiled" "$WORK/passfile" "$WORK/state"
	[ -n "$KEPT" ] || rm -rf "$WORK"
	finish 0 finished ""
}

# On the new primary: what pg_rewind reads there must be of its own timeline, and the WAL from here
# on is kept for FD_slot. Asked again until it is done.
verb_rejoin_source() {
	may_act
	exec 9<&-
	said=$(echo "select not pg_is_in_recovery(),
		('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int,
		coalesce(sum(pg_database_size(oid)), 0)::bigint / 1024,
		(select count(*) from pg_tablespace where spcname !~ '^pg_') from pg_database
		where not pg_is_in_recovery()" | sql) || finish "$EXIT_NOT_DONE" not_ready "$(complaint "$said")"
	IFS='|' read -r writable timeline size tablespaces <<END
$said
END
	[ "$writable" = t ] || finish "$EXIT_NOT_DONE" not_ready "it is in recovery: nobody can follow it as a primary"
	make_slot
	if [ "$CONTROL_TIMELINE" != "$timeline" ]; then
		# shellcheck disable=SC2086 # a prefix of words
		echo checkpoint | timeout -k 1 20 $FD_become "$FD_bin_dir/psql" -X -q -h "$FD_socket_dir" -p "$FD_port" \
			-U "$FD_superuser" -d postgres -f - >/dev/null 2>&1
		read_control
		[ "$CONTROL_TIMELINE" = "$timeline" ] || finish "$EXIT_NOT_DONE" not_ready "its checkpoint is not done yet"
	fi
	say timeline "$timeline"
	say size_kb "$size"
	say tablespaces "$tablespaces"
	say_history "$(printf '%08X' "$timeline")"
	finish 0 ready ""
}

make_slot() {
	[ -n "$FD_slot" ] || return 0
	said=$(echo "select pg_create_physical_replication_slot('$FD_slot', true)
		where not exists (select from pg_replication_slots where slot_name = '$FD_slot')" | sql) ||
		finish "$EXIT_NOT_DONE" not_ready "$(complaint "$said")"
}

# Where each earlier timeline ended: TIMELINE:LSN. Source: src/backend/access/transam/timeline.c
say_history() {
	file=$DATA/pg_wal/$1.history
	[ -r "$file" ] || return 0
	while read -r number switch _; do
		! is_number "$number" || say history "$number:$switch"
	done <"$file"
}
