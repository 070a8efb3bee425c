# What readiness is judged by: programs, disks and rights. Changes nothing.
READINESS_TOOLS='pg_ctl pg_controldata pg_isready psql pg_waldump pg_rewind pg_basebackup'

# say_free NAME DIRECTORY: bytes. Source: df(1), -P.
say_free() {
	line=$(timeout -k 1 2 df -Pk "$2" 2>/dev/null | sed -n 2p)
	# shellcheck disable=SC2086 # columns
	set -- "$1" $line
	! is_number "${5-}" || say "$1" "$(($5 * 1024))"
}

say_tools() {
	for tool in $READINESS_TOOLS; do
		told=$(timeout -k 1 2 "$FD_bin_dir/$tool" -V 2>/dev/null) || told=
		say "tool_$tool" "$(first_line "$told")"
	done
}

# As the daemon would stop it, by sudo; without sudo nobody knows before it is tried.
say_unit() {
	find_unit
	[ -n "$UNIT" ] || return 0
	say unit "$UNIT"
	IFS=$LINE_END
	for line in $(timeout -k 1 3 systemctl show -p LoadState -p Restart "$UNIT" 2>/dev/null); do
		case $line in
		LoadState=*) say unit_load "${line#*=}" ;;
		Restart=*) say unit_restart "${line#*=}" ;;
		esac
	done
	unset IFS
	[ "$ME" != 0 ] && command -v sudo >/dev/null 2>&1 || return 0
	if timeout -k 1 3 sudo -n -l systemctl stop "$UNIT" >/dev/null 2>&1; then say sudo yes; else say sudo no; fi
}

# Without making anything: the epoch is kept there when a failover begins.
say_epoch_kept() {
	state=${FD_state_dir:-${HOME:-/}/.failoverd}
	while [ ! -e "$state" ] && [ "$state" != / ] && [ -n "$state" ]; do state=${state%/*}; done
	state=${state:-/}
	if [ ! -d "$state" ] || [ ! -w "$state" ] || [ ! -x "$state" ]; then
		say epoch_kept "$state is not writable as $(id -un)"
	fi
}

say_local_sql() {
	said=$(echo 'select 1' | sql)
	[ "$said" = 1 ] || say local_sql "$(complaint "$said")"
}

say_address() {
	[ -n "$FD_address" ] && command -v ip >/dev/null 2>&1 || return 0
	IFS=$LINE_END
	for line in $(timeout -k 1 2 ip -o addr show 2>/dev/null); do
		case $line in *" $FD_address/"*" secondary "*) say address secondary ;; esac
	done
	unset IFS
}

verb_readiness() {
	read_now
	began=$NOW
	identity=$(stat -L -c %u "$FD_data_dir" 2>/dev/null) ||
		finish "$EXIT_NO_DATA_DIR" no_data_dir "no data directory at $FD_data_dir"
	say user "$(id -un)"
	say_tools
	if [ "$ME" = 0 ] || [ "$ME" = "$identity" ]; then
		say owns_data yes
		{ read -r major <"$FD_data_dir/PG_VERSION"; } 2>/dev/null ||
			finish "$EXIT_NO_DATA_DIR" no_data_dir "no data directory at $FD_data_dir"
		say major "$major"
		say_free data_free "$FD_data_dir"
		say_free wal_free "$FD_data_dir/pg_wal"
		say_local_sql
		say_epoch_kept
	else
		say owns_data no
	fi
	say_unit
	say_address
	say clock "$(date +%s)"
	read_now
	say took "$((NOW - began))"
	finish 0 seen ""
}
