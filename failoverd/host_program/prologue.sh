#!/bin/sh
# What every verb uses. Arguments come as shell assignments FD_<name> before this text, never in
# an argument list: some of them are secrets. Answers are key=value lines; the nonce comes last.
set -u
export LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
umask 077
cd / || exit 16

: "${FD_verb=}" "${FD_nonce=}" "${FD_data_dir=}" "${FD_bin_dir=}" "${FD_port=5432}"
: "${FD_system_identifier=}" "${FD_socket_dir=}" "${FD_superuser=postgres}" "${FD_become=}"
: "${FD_service=}" "${FD_state_dir=}" "${FD_epoch=}" "${FD_incident=}" "${FD_boot_id=}"
: "${FD_expires=}" "${FD_mode=}" "${FD_fast_seconds=5}" "${FD_host=}" "${FD_server_log=}"

EXIT_WRONG_CLUSTER=10
EXIT_NOT_DONE=11
EXIT_NO_DATA_DIR=12
EXIT_ALIVE=13
EXIT_STALE_EPOCH=14
EXIT_EXPIRED=15
EXIT_CANNOT=16
EXIT_FOREIGN_GUARD=17

say() { printf '%s=%s\n' "$1" "$2"; }

# finish STATUS VERDICT REASON
finish() {
	say verdict "$2"
	[ -z "$3" ] || say reason "$3"
	say nonce "$FD_nonce"
	exit "$1"
}

need() {
	for tool in "$@"; do
		command -v "$tool" >/dev/null 2>&1 || finish $EXIT_CANNOT cannot "$tool is missing on this host"
	done
}

encode() { base64 | tr -d '\n'; }

boot_id() { cat /proc/sys/kernel/random/boot_id; }

# Centiseconds since boot.
uptime_cs() {
	read -r up _ </proc/uptime
	printf '%s%s' "${up%.*}" "${up#*.}" | sed 's/^0*\([0-9]\)/\1/'
}

# The data directory, resolved: /proc/PID/cwd knows no symbolic links.
find_data_dir() {
	need readlink stat sed find timeout id
	DATA=$(readlink -f "$FD_data_dir") || DATA=
	[ -n "$DATA" ] && [ -f "$DATA/PG_VERSION" ] ||
		finish $EXIT_NO_DATA_DIR no_data_dir "no data directory at $FD_data_dir"
	OWNER=$(stat -c %u "$DATA") || finish $EXIT_CANNOT cannot "cannot stat $DATA"
	CONTROL=$(timeout 5 "$FD_bin_dir/pg_controldata" -D "$DATA" 2>&1) ||
		finish $EXIT_CANNOT cannot "pg_controldata: $(printf '%s' "$CONTROL" | head -n 1)"
	FOUND_IDENTIFIER=$(control 'Database system identifier')
}

control() { printf '%s\n' "$CONTROL" | sed -n "s/^$1: *//p" | head -n 1; }

check_identity() {
	find_data_dir
	[ -n "$FD_system_identifier" ] && [ "$FOUND_IDENTIFIER" = "$FD_system_identifier" ] ||
		finish $EXIT_WRONG_CLUSTER wrong_cluster "$DATA has system identifier $FOUND_IDENTIFIER, not $FD_system_identifier"
}

check_expiry() {
	[ "$FD_boot_id" = "$(boot_id)" ] || finish $EXIT_EXPIRED expired "this host was booted since the look that led here"
	case $FD_expires in '' | *[!0-9]*) finish $EXIT_EXPIRED expired "no expiry was given" ;; esac
	[ "$(uptime_cs)" -le "$FD_expires" ] || finish $EXIT_EXPIRED expired "the look that led here is too old"
}

epoch_file() {
	printf '%s/%s.epoch' "${FD_state_dir:-${HOME:-/}/.failoverd}" "$FOUND_IDENTIFIER"
}

seen_epoch() {
	seen=
	[ -r "$(epoch_file)" ] && read -r seen <"$(epoch_file)"
	case $seen in '' | *[!0-9]*) seen=0 ;; esac
	printf '%s' "$seen"
}

# Refuse an older epoch; keep a newer one, on disk, outside the data directory.
take_epoch() {
	case $FD_epoch in '' | *[!0-9]*) finish $EXIT_STALE_EPOCH stale_epoch "no epoch was given" ;; esac
	seen=$(seen_epoch)
	[ "$FD_epoch" -ge "$seen" ] ||
		finish $EXIT_STALE_EPOCH stale_epoch "epoch $FD_epoch is older than $seen, which this host has seen"
	[ "$FD_epoch" -eq "$seen" ] && return 0
	file=$(epoch_file)
	mkdir -p "${file%/*}" && printf '%s\n' "$FD_epoch" >"$file.new" && sync "$file.new" &&
		mv -f "$file.new" "$file" && sync "${file%/*}" ||
		finish $EXIT_CANNOT cannot "cannot keep the epoch in $file"
}

# PostgreSQL processes whose working directory is the data directory: "PID STATE" a line.
# Fails where a process of the owner cannot be looked into: what is not seen is not absent.
processes() {
	case $(id -u) in
	0) candidates=$(find /proc -maxdepth 1 -name '[0-9]*' 2>/dev/null) ;;
	*) candidates=$(find /proc -maxdepth 1 -name '[0-9]*' -user "$OWNER" 2>/dev/null) ;;
	esac
	for process in $candidates; do
		read -r name 2>/dev/null <"$process/comm" || continue
		case $name in postgres | postmaster) ;; *) continue ;; esac
		{ read -r stat <"$process/stat"; } 2>/dev/null || continue
		state=${stat##*) }
		state=${state%% *}
		case $state in Z | X) continue ;; esac
		if directory=$(readlink "$process/cwd" 2>/dev/null); then
			[ "${directory% (deleted)}" = "$DATA" ] && printf '%s %s\n' "${process#/proc/}" "$state"
		elif [ -d "$process" ]; then
			{ read -r stat <"$process/stat"; } 2>/dev/null || continue
			state=${stat##*) }
			case $state in [ZX]*) continue ;; esac
			return 1
		fi
	done
	return 0
}

scan() {
	PROCESSES=$(processes) || finish $EXIT_CANNOT cannot "a PostgreSQL process cannot be looked into as $(id -un)"
}

# The PID in postmaster.pid, if the scan has it too: a stale file may name a stranger.
postmaster() {
	pid=
	[ -r "$DATA/postmaster.pid" ] && read -r pid <"$DATA/postmaster.pid"
	case $pid in '' | *[!0-9]*) return 1 ;; esac
	printf '%s\n' "$PROCESSES" | grep -q "^$pid " && printf '%s' "$pid"
}

# A socket that listens on the port, of any address. Source: proc(5), /proc/net/tcp, state 0A.
listens() {
	hex=$(printf '%04X' "$FD_port")
	cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -q "^ *[0-9]*: [0-9A-F]*:$hex [0-9A-F]*:[0-9A-F]* 0A "
}

marker() { sed -n "s/^$1=//p" "$DATA/failoverd.guard" 2>/dev/null | head -n 1; }

guard_is() {
	if [ ! -e "$DATA/standby.signal" ]; then
		printf none
	elif [ -f "$DATA/failoverd.guard" ]; then
		printf ours
	else
		printf foreign
	fi
}

sql() {
	# shellcheck disable=SC2086 # a prefix of words
	PGCONNECT_TIMEOUT=2 timeout 10 $FD_become "$FD_bin_dir/psql" -X -q -A -t -v ON_ERROR_STOP=1 \
		-h "$FD_socket_dir" -p "$FD_port" -U "$FD_superuser" -d postgres -f - 2>&1
}
