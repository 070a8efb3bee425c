# What a server wrote after another went its own way: read from its WAL, and nothing is changed.

is_lsn() {
	case $1 in */*/* | /* | */ | *[!0-9A-Fa-f/]*) return 1 ;; */*) ;; *) return 1 ;; esac
}

bytes_of() { echo "$(((0x${1%/*} << 32) + 0x${1#*/}))"; }

# TIMELINE SWITCHPOINT a line, of every timeline that FD_timeline came from, oldest first.
# Source: src/backend/access/transam/timeline.c; the first timeline has no such file.
verb_history() {
	check_identity
	is_number "$FD_timeline" || cannot "no timeline was given"
	if [ "$FD_timeline" -gt 1 ]; then
		file=$DATA/pg_wal/$(printf '%08X' "$FD_timeline").history
		[ -r "$file" ] || cannot "$file is missing or not readable"
		while read -r came_from switched_at _; do
			! is_number "$came_from" || ! is_lsn "$switched_at" || say parent "$came_from $switched_at"
		done <"$file"
	fi
	say history_of "$FD_timeline"
	finish 0 read ""
}

# OLDEST: the first segment at or after FD_start that is there, by its name; empty: none. The
# segment size is the server's own (initdb --wal-segsize).
find_oldest() {
	size=$(timeout -k 1 5 "$FD_bin_dir/pg_controldata" -D "$DATA" 2>/dev/null | sed -n 's/^Bytes per WAL segment: *//p')
	is_number "$size" || cannot "pg_controldata tells no segment size"
	low=$((0x${FD_start#*/}))
	FIRST=$(printf '%08X%08X%08X' "$FD_timeline" "$((0x${FD_start%/*}))" "$((low / size))")
	OLDEST=''
	set +f
	for segment in "$DATA/pg_wal/$(printf '%08X' "$FD_timeline")"????????????????; do
		segment=${segment##*/}
		case $segment in *[!0-9A-F]*) continue ;; esac
		if [ "$segment" = "$FIRST" ] || expr "x$segment" '>' "x$FIRST" >/dev/null; then
			OLDEST=$segment
			break
		fi
	done
	set -f
}

# Lines of pg_waldump, to the end that it complains of: what was committed, and where that end is.
# Its words: "error in WAL record at LAST: invalid record length at END: ..."; some name no END.
count_commits() {
	awk '
		/ desc: COMMIT(_PREPARED)? / { commits++; when = $0; sub(/.* desc: COMMIT(_PREPARED)? /, "", when)
			sub(/^[0-9]+: /, "", when); sub(/;.*/, "", when); if (!first) first = when; last = when }
		/^pg_waldump: / { if (!said) said = $0 }
		END {
			print "commits=" commits + 0
			if (commits) { print "first_commit=" first; print "last_commit=" last }
			if (said) print "said=" said
		}'
}

# end_after LSN: the end of the record that begins there, by its length, in whole 8 bytes.
end_after() {
	record=$(timeout -k 1 5 "$FD_bin_dir/pg_waldump" -p "$DATA/pg_wal" -t "$FD_timeline" -s "$1" -n 1 2>/dev/null |
		sed -n 's/.*len (rec\/tot): *[0-9]*\/ *\([0-9]*\),.*/\1/p')
	is_number "$record" || return 1
	at=$(($(bytes_of "$1") + (record + 7) / 8 * 8))
	printf '%X/%X\n' "$((at >> 32))" "$((at & 0xFFFFFFFF))"
}

# read_end SAID: END of the WAL as pg_waldump's last words have it; fails where they tell none.
read_end() {
	END=
	case $1 in
	*'could not find a valid record after '*) END=$FD_start ;;
	*'error in WAL record at '*)
		END=${1#*error in WAL record at }
		after=${END#*: }
		END=${END%%:*}
		case $after in
		*' at '*/*)
			after=${after##* at }
			after=${after%%[!0-9A-Fa-f/]*}
			;;
		*) after= ;;
		esac
		if is_lsn "$after"; then END=$after; else END=$(end_after "$END") || return 1; fi
		;;
	esac
	is_lsn "$END"
}

# The transactions that were committed on FD_timeline from FD_start on (to FD_until, or to the
# true end), with the exact command that shows them.
verb_diverged() {
	need awk expr
	check_identity
	is_number "$FD_timeline" || cannot "no timeline was given"
	is_lsn "$FD_start" || cannot "no position to start from was given"
	[ -x "$FD_bin_dir/pg_waldump" ] || cannot "$FD_bin_dir/pg_waldump is missing on this host"
	find_oldest
	start=$FD_start complete=yes
	if [ -z "$OLDEST" ]; then
		# Never written, or gone since: the control file knows of WAL that was there.
		if [ "$CONTROL_TIMELINE" = "$FD_timeline" ] && is_lsn "$CHECKPOINT_LSN" &&
			[ "$(bytes_of "$CHECKPOINT_LSN")" -gt "$(bytes_of "$FD_start")" ]; then
			complete=no
		fi
		say commits 0
		[ "$complete" = no ] || say end "$FD_start"
		say complete "$complete"
		say command "$(waldump_words)"
		finish 0 counted ""
	fi
	if [ "$OLDEST" != "$FIRST" ]; then
		# What was removed or recycled cannot be counted any more.
		complete=no
		number=${OLDEST#????????????????}
		start=$(printf '%X/%X' "$((0x$(printf '%.16s' "$OLDEST" | sed 's/^.\{8\}//')))" "$((0x$number * size))")
	fi
	set -- -p "$DATA/pg_wal" -t "$FD_timeline" -s "$start" -r Transaction
	[ -z "$FD_until" ] || set -- "$@" -e "$FD_until"
	counted=$(timeout -k 1 "${FD_seconds%.*}" "$FD_bin_dir/pg_waldump" "$@" 2>&1 | count_commits)
	printf '%s\n' "$counted" | grep -v '^said='
	said=$(printf '%s\n' "$counted" | sed -n 's/^said=//p')
	if [ -n "$FD_until" ] && [ -z "$said" ]; then
		say end "$FD_until"
	elif read_end "$said"; then
		say end "$END"
	else
		complete=no # cut off, or nobody knows where it ends
	fi
	say complete "$complete"
	say waldump_said "$said"
	say command "$(waldump_words)"
	finish 0 counted ""
}

waldump_words() {
	printf '%s --path=%s --timeline=%s --start=%s%s --rmgr=Transaction' "$FD_bin_dir/pg_waldump" "$DATA/pg_wal" \
		"$FD_timeline" "$FD_start" "${FD_until:+ --end=$FD_until}"
}
