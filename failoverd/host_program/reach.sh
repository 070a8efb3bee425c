# Does a server answer there, seen from this host? Source: pg_isready(1): 0 accepting, 1 rejecting,
# 2 no response, 3 no attempt made.
verb_reach() {
	[ -x "$FD_bin_dir/pg_isready" ] || finish $EXIT_CANNOT cannot "$FD_bin_dir/pg_isready is missing on this host"
	timeout 3 "$FD_bin_dir/pg_isready" -q -t 1 -h "${FD_host:-$FD_socket_dir}" -p "$FD_port"
	case $? in
	0) say answer accepting ;;
	1) say answer rejecting ;;
	2 | 124) say answer no_response ;;
	*) finish $EXIT_CANNOT cannot "pg_isready made no attempt" ;;
	esac
	finish 0 tried ""
}

# What the server itself wrote about its promotion.
verb_log() {
	need grep tail
	file=$FD_server_log
	if [ -z "$file" ]; then
		file=$(echo "select current_setting('data_directory') || '/' || pg_current_logfile()" | sql) || file=
	fi
	if [ -z "$file" ] || [ ! -r "$file" ]; then
		say readable no
		finish 0 not_readable "its log is not readable: ${file:-the server names no log file (logging_collector is off; set server_log)}"
	fi
	say size "$(stat -c %s "$file")"
	tail -c 200000 "$file" | grep -E 'received promote request|redo done|selected new timeline ID|archive recovery complete|ready to accept connections|recovery stopping' |
		tail -n 20 | while IFS= read -r line; do
		say line_b64 "$(printf '%s' "$line" | encode)"
	done
	finish 0 read ""
}
