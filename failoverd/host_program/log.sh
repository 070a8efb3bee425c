# What the server itself wrote about its promotion, after byte `since` of its log.
verb_log() {
	need tail base64
	is_number "${FD_since:-0}" || cannot "since is not a number of bytes"
	file=$FD_server_log
	[ -n "$file" ] || file=$(
		echo "select case when log like '/%' then log else current_setting('data_directory') || '/' || log end
			from pg_current_logfile() as log" | sql
	) || file=
	if [ -z "$file" ] || [ ! -f "$file" ] || [ ! -r "$file" ]; then
		say readable no
		finish 0 not_readable "its log is not readable: ${file:-the server names no log file (logging_collector is off; set server_log)}"
	fi
	size=$(stat -L -c %s "$file") || cannot "cannot stat $file"
	say size "$size"
	from=${FD_since:-0}
	[ "$from" -le "$size" ] || from=0 # it was rotated
	[ "$((size - from))" -le 200000 ] || from=$((size - 200000))
	tail -c "+$((from + 1))" "$file" |
		grep -E 'received promote request|redo done|selected new timeline ID|archive recovery complete|ready to accept connections|recovery stopping' |
		tail -n 20 | while IFS= read -r line; do
		say line_b64 "$(printf '%s' "$line" | base64 | tr -d '\n')"
	done
	finish 0 read ""
}
