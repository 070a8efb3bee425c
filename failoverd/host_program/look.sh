# What is there: the data directory, its control file, its processes, its port and its guard.

# The data directory, resolved: /proc/PID/cwd knows no symbolic links.
find_data_dir() {
	DATA=
	! cd -P "${FD_data_dir:-/nowhere}" 2>/dev/null || DATA=$PWD
	cd / || cannot "there is no root directory"
	{ [ -n "$DATA" ] && [ -f "$DATA/PG_VERSION" ]; } ||
		finish "$EXIT_NO_DATA_DIR" no_data_dir "no data directory at $FD_data_dir"
	identity=$(stat -c '%u %g %d:%i' "$DATA") || cannot "cannot stat $DATA"
	OWNER=${identity%% *}
	DIRECTORY_IDENTITY=${identity##* }
	GROUP=${identity#* }
	GROUP=${GROUP%% *}
	read_control
}

# A running server may be writing the control file, so that its checksum seems wrong.
read_control() {
	for _ in 1 2 3; do
		said=$(timeout -k 1 5 "$FD_bin_dir/pg_controldata" -D "$DATA" 2>&1) ||
			cannot "pg_controldata: $(first_line "$said")"
		case $said in *WARNING*) continue ;; esac
		parse_control
		return 0
	done
	cannot "pg_controldata: $(printf '%s\n' "$said" | grep -m 1 WARNING)"
}

parse_control() {
	SYSTEM_IDENTIFIER='' CONTROL_STATE='' CONTROL_TIMELINE='' CHECKPOINT_LSN='' WAL_SEGMENT='' WAL_BLOCK=''
	IFS=$LINE_END
	for line in $said; do
		value=${line#*:}
		value=${value#"${value%%[! ]*}"}
		case $line in
		'Database system identifier:'*) SYSTEM_IDENTIFIER=$value ;;
		'Database cluster state:'*) CONTROL_STATE=$value ;;
		"Latest checkpoint's TimeLineID:"*) CONTROL_TIMELINE=$value ;;
		'Latest checkpoint location:'*) CHECKPOINT_LSN=$value ;;
		'Bytes per WAL segment:'*) WAL_SEGMENT=$value ;;
		'WAL block size:'*) WAL_BLOCK=$value ;;
		esac
	done
	unset IFS
	{ [ -n "$SYSTEM_IDENTIFIER" ] && [ -n "$CONTROL_STATE" ]; } || cannot "pg_controldata was not understood"
}

# STATE of /proc/PID/stat and PARENT; fails where the process has ended.
read_stat() {
	{ read -r stat <"$1/stat"; } 2>/dev/null || return 1
	stat=${stat##*) }
	STATE=${stat%% *}
	stat=${stat#* }
	PARENT=${stat%% *}
}

# PROCESSES: those of PostgreSQL whose working directory is the data directory, PID:STATE:PARENT a
# line; and OTHER_MANAGER, which would undo a fence or be undone by it. Zombies are nobody. Where a process of the owner cannot be looked into there is no answer:
# what is not seen is not absent.
scan() {
	[ -r /proc/self/stat ] || cannot "/proc is not mounted"
	PROCESSES='' OTHER_MANAGER=''
	set +f
	for process in /proc/[0-9]*; do
		{ read -r name <"$process/comm"; } 2>/dev/null || continue
		case $name in
		postgres | postmaster) ;;
		patroni | repmgrd | pg_autoctl | pacemakerd | stolon-keeper) OTHER_MANAGER=$name && continue ;;
		python*) # a script that was given to the interpreter
			! grep -q -s -a 'patroni' "$process/cmdline" || OTHER_MANAGER=patroni
			continue
			;;
		*) continue ;;
		esac
		read_stat "$process" || continue
		case $STATE in Z | X | x) continue ;; esac
		if works_here "$process"; then
			PROCESSES=$PROCESSES${PROCESSES:+$LINE_END}${process#/proc/}:$STATE:$PARENT
		fi
	done
	set -f
}

# By device and inode; by name where the directory was removed under a running server. A process
# that is just ending has no working directory any more, for a moment.
works_here() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		# shellcheck disable=SC3013 # dash, bash, ksh and busybox have -ef
		[ ! "$1/cwd" -ef "$DATA" ] || return 0
		if directory=$(readlink "$1/cwd" 2>/dev/null); then
			[ "$directory" = "$DATA" ] || [ "$directory" = "$DATA (deleted)" ]
			return
		fi
		! is_gone_or_foreign "$1" || return 1
		sleep 0.02
	done
	cannot "the PostgreSQL process ${1#/proc/} cannot be looked into as $(id -un)"
}

is_gone_or_foreign() {
	read_stat "$1" || return 0
	case $STATE in Z | X | x) return 0 ;; esac
	owner=$(stat -c %u "$1" 2>/dev/null) || return 0
	[ "$owner" != "$OWNER" ]
}

# each_process COMMAND...: call it with PID STATE PARENT of every process; stops where it fails.
each_process() {
	for found in $PROCESSES; do
		pid=${found%%:*} state=${found#*:}
		"$@" "$pid" "${state%:*}" "${found##*:}" || return 1
	done
}

is_not_stopped() {
	case $2 in T | t) return 1 ;; esac
}

some_are_stopped() { ! each_process is_not_stopped; }

is_in_scan() {
	case $LINE_END$PROCESSES in *"$LINE_END$1:"*) ;; *) return 1 ;; esac
}

# PID_FILE_PID and PID_FILE_STARTED, in seconds since 1970: lines 1 and 3 of postmaster.pid.
read_pid_file() {
	PID_FILE_PID='' PID_FILE_STARTED=''
	[ -r "$DATA/postmaster.pid" ] || return 0
	{ { read -r PID_FILE_PID && read -r _ && read -r PID_FILE_STARTED; } <"$DATA/postmaster.pid"; } 2>/dev/null || :
}

# POSTMASTER: the PID in postmaster.pid, if the scan has it too: a stale file may name a stranger.
find_postmaster() {
	read_pid_file
	POSTMASTER=$PID_FILE_PID
	is_number "$POSTMASTER" && is_in_scan "$POSTMASTER"
}

# A child of the postmaster gives itself the title "postgres: ..."; the postmaster keeps the
# command line it was started with. Source: src/backend/utils/misc/ps_status.c.
is_child() {
	title=$(head -c 10 "/proc/$1/cmdline" 2>/dev/null) || {
		[ ! -d "/proc/$1" ]
		return
	}
	case $title in 'postgres: ' | '') ;; *) return 1 ;; esac # it has none while it exits
}

# RECOVERING: the WAL file that the startup process is reading, from its title, while there is one.
# Source: src/backend/access/transam/xlogrecovery.c, "recovering %s"; PostgreSQL 13 has it, too.
read_progress() {
	RECOVERING=
	each_process read_title || :
}

read_title() {
	title=$(tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null) || return 0
	case $title in
	*startup*recovering\ *)
		RECOVERING=${title##*recovering }
		RECOVERING=${RECOVERING%% *}
		return 1
		;;
	esac
}

# A postmaster lives, named in postmaster.pid or not; orphaned backends alone are not that.
postmaster_lives() { find_postmaster || ! each_process is_child; }

# A socket that listens on the port, of any address. Source: proc(5), /proc/net/tcp, state 0A.
listens() {
	[ -r /proc/net/tcp ] || cannot "/proc/net/tcp is not readable"
	grep -q -s "^ *[0-9]*: [0-9A-F]*:$(printf '%04X' "$FD_port") [0-9A-F]*:[0-9A-F]* 0A " /proc/net/tcp /proc/net/tcp6
}

# GUARD: none, ours, or foreign: a standby.signal without our marker, so a standby by right. And
# what our marker says.
read_guard() {
	GUARD_EPOCH='' GUARD_INCIDENT='' GUARD_LAID_AT='' GUARD_LAID_AT_UPTIME='' GUARD_BOOT_ID=''
	if [ ! -e "$DATA/standby.signal" ]; then
		GUARD=none
	elif [ -f "$DATA/failoverd.guard" ] || [ -L "$DATA/failoverd.guard" ]; then
		GUARD=ours
	else
		GUARD=foreign
	fi
	if [ -L "$DATA/failoverd.guard" ]; then
		read_linked_marker
	elif [ -r "$DATA/failoverd.guard" ]; then
		read_marker 2>/dev/null || :
	fi
}

read_marker() {
	while IFS='=' read -r key value; do
		case $key in
		epoch) GUARD_EPOCH=$value ;;
		incident) GUARD_INCIDENT=$value ;;
		boot_id) GUARD_BOOT_ID=$value ;;
		laid_at_uptime) GUARD_LAID_AT_UPTIME=$value ;;
		laid_at) GUARD_LAID_AT=$value ;;
		esac
	done <"$DATA/failoverd.guard"
}

# As it was laid on a full disk; the first part of the boot id does.
read_linked_marker() {
	marker=$(readlink "$DATA/failoverd.guard")
	IFS=,
	# shellcheck disable=SC2086 # a word a field
	set -- $marker
	unset IFS
	GUARD_EPOCH=${1-} GUARD_INCIDENT=${2-} GUARD_LAID_AT=${3-} GUARD_LAID_AT_UPTIME=${4-} GUARD_BOOT_ID=${5-}
}

# STARTED: centiseconds since boot at which a process began. Source: proc(5), stat, starttime.
read_started() {
	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
	# shellcheck disable=SC2086 # its fields
	set -- ${stat##*) }
	STARTED=${20-}
	is_number "$STARTED"
}

# In a later boot than the guard; else by the clock of the boot, which nobody sets; where the two
# files of /proc do not count from the same boot (a container), by the wall clock, to the second.
started_after_guard() {
	find_postmaster || return 1
	read_boot
	case $BOOT_ID in "${GUARD_BOOT_ID:-none}"*) ;; *) [ -z "$GUARD_BOOT_ID" ] || return 0 ;; esac
	read_now
	if [ -n "$GUARD_LAID_AT_UPTIME" ] && read_started "$POSTMASTER" && [ "$STARTED" -le "$NOW" ]; then
		centiseconds "$GUARD_LAID_AT_UPTIME"
		is_number "$NUMBER" && [ "$STARTED" -gt "$NUMBER" ]
	else
		is_number "$PID_FILE_STARTED" && is_number "$GUARD_LAID_AT" && [ "$PID_FILE_STARTED" -gt "$GUARD_LAID_AT" ]
	fi
}

belongs_to_postmaster() { [ "$1" = "$POSTMASTER" ] || [ "$3" = "$POSTMASTER" ]; }

# Somebody (a unit with Restart=) started it again after the guard was laid: it is a standby, and
# no process of an earlier life is left beside it. While it replays what a crash left it answers
# nobody; a promotion would have taken standby.signal away.
runs_under_guard() {
	read_guard
	{ [ "$GUARD" = ours ] && started_after_guard && each_process belongs_to_postmaster; } || return 1
	case $(echo 'select pg_is_in_recovery()' | sql) in
	t) return 0 ;;
	f) return 1 ;;
	esac
	read_control
	case $CONTROL_STATE in *recovery*) return 0 ;; *) return 1 ;; esac
}
