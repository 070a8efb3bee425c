#!/bin/sh
# What every verb uses. Arguments come as shell assignments FD_<name> before this text, never in
# an argument list: some of them are secrets. Answers are key=value lines; the nonce comes last.
set -uf
export LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
umask 077
# What would lead psql elsewhere, whoever logged in here set it.
unset PGHOST PGHOSTADDR PGPORT PGUSER PGDATABASE PGPASSWORD PGPASSFILE PGSERVICE PGSERVICEFILE \
	PGOPTIONS PGSSLMODE PGREQUIREAUTH PGTARGETSESSIONATTRS PGCLIENTENCODING PGDATA PSQLRC 2>/dev/null

: "${FD_verb=}" "${FD_nonce=}" "${FD_data_dir=}" "${FD_bin_dir=}" "${FD_port=}"
: "${FD_system_identifier=}" "${FD_socket_dir=}" "${FD_superuser=postgres}" "${FD_become=}"
: "${FD_service=}" "${FD_state_dir=}" "${FD_owner=}" "${FD_epoch=}" "${FD_incident=}" "${FD_boot_id=}"
: "${FD_expires=}" "${FD_mode=}" "${FD_fast_seconds=5}" "${FD_host=}" "${FD_server_log=}" "${FD_since=}" "${FD_seconds=1}"
: "${FD_debian_cluster=}" "${FD_start_command=}" "${FD_stop_command=}" "${FD_command_seconds=10}"
: "${FD_immediate_seconds=2}" "${FD_start_seconds=60}"
: "${FD_timeline=}" "${FD_start=}" "${FD_until=}"
: "${FD_slots=}" "${FD_pids=}" "${FD_names_b64=}"
: "${FD_count=}" "${FD_inline=}"
: "${FD_arming=}" "${FD_sent=}" "${FD_ttl=}" "${FD_hold=}" "${FD_standbys=}" "${FD_program=}"
: "${FD_source=}" "${FD_method=auto}" "${FD_history=}" "${FD_timeline=}" "${FD_slot=}" "${FD_total=}" "${FD_tablespaces=0}"
: "${FD_limit=3600}" "${FD_source_conninfo=}" "${FD_secret_passfile=}" "${FD_secret_settings=}" "${FD_forward=}"
: "${FD_file=}" "${FD_lines=}" "${FD_address=}" "${FD_interface=}" "${FD_root=}" "${FD_ask=yes}"

EXIT_WRONG_CLUSTER=10
EXIT_NOT_DONE=11
EXIT_NO_DATA_DIR=12
EXIT_ALIVE=13
EXIT_STALE_EPOCH=14
EXIT_EXPIRED=15
EXIT_CANNOT=16
EXIT_FOREIGN_GUARD=17
EXIT_OTHER_MANAGER=18

LINE_END='
'

say() { printf '%s=%s\n' "$1" "$2"; }

# finish STATUS VERDICT REASON. Not from within $(...), which it would not leave.
finish() {
	say verdict "$2"
	[ -z "$3" ] || say reason "$3"
	say nonce "$FD_nonce"
	exit "$1"
}

first_line() { printf '%s\n' "$1" | head -n 1; }

cannot() { finish "$EXIT_CANNOT" cannot "$1"; }

need() {
	for tool in "$@"; do
		command -v "$tool" >/dev/null 2>&1 || cannot "$tool is missing on this host"
	done
}

is_number() {
	case $1 in '' | *[!0-9]*) return 1 ;; esac
}

say begin "$FD_nonce" # what a login shell has said before is not ours
cd / || cannot "there is no root directory"
is_number "$FD_port" || cannot "no port was given"
is_number "$FD_fast_seconds" || cannot "fast_seconds is not a number"
need timeout readlink stat sed id grep head tr sleep

# As /proc has it, and without a process of its own: this program is the fast path.
while read -r key value _; do
	case $key in Uid:) ME=$value ;; esac
done </proc/self/status
is_number "${ME=}" || cannot "/proc does not tell who we are"

# BOOT_ID, and UPTIME in seconds as /proc/uptime has it.
read_boot() {
	{ read -r BOOT_ID </proc/sys/kernel/random/boot_id && read -r UPTIME _ </proc/uptime; } 2>/dev/null ||
		cannot "/proc tells neither the boot id nor the uptime"
}

# centiseconds SECONDS, with two decimals as /proc/uptime has them. NUMBER: without leading zeros,
# which the shell would read as octal.
centiseconds() {
	NUMBER=${1%.*}${1#*.}
	while :; do
		case $NUMBER in 0?*) NUMBER=${NUMBER#0} ;; *) return 0 ;; esac
	done
}

# NOW: centiseconds since boot.
read_now() {
	read -r NOW _ </proc/uptime
	centiseconds "$NOW"
	NOW=$NUMBER
}

# SQL from standard input, as the owner over the Unix socket; rows and errors on standard output.
# Whoever answers on that port must be of the cluster of the data directory.
sql() {
	{
		printf "select case when '%s' not in ('', system_identifier::text)
			then (system_identifier || ', another cluster, answers on this port')::int end
			from pg_control_system() \\\\gset stranger_\n" "${SYSTEM_IDENTIFIER-}"
		cat
	} | sql_of_anybody
}

sql_of_anybody() {
	# shellcheck disable=SC2086 # a prefix of words
	PGCONNECT_TIMEOUT=2 timeout -k 1 10 $FD_become "$FD_bin_dir/psql" -X -q -A -t -v ON_ERROR_STOP=1 \
		-h "$FD_socket_dir" -p "$FD_port" -U "$FD_superuser" -d postgres -f - 2>&1
}

# What psql complained of: its first error, else its first line.
complaint() {
	said=$(printf '%s\n' "$1" | grep -m 1 -E 'ERROR|FATAL|error')
	printf 'psql: %s' "${said:-$(first_line "${1:-no answer within 10 s}")}"
}
