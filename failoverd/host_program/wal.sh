# Where the WAL of a data directory ends, and the bytes up to there. Reads only.
#
# pg_waldump ends with "error in WAL record at LAST: WHY": LAST is where the last whole record
# begins. Few WHYs name where it ends, so that is reckoned from its length. Started exactly at the
# end it finds nothing, so it is started before. Not given its first and last file it takes the
# segment size from whichever it meets, which may be one that was never written.
# Source: src/bin/pg_waldump/pg_waldump.c, src/backend/access/transam/xlogreader.c.
BEFORE_WAL=262144
NEVER_WRITTEN=CommitTs # records that are as good as none: what is read is not printed

# BYTES of a position; POSITION of bytes.
read_position() { BYTES=$(((0x${1%/*} << 32) + 0x${1#*/})); }
name_position() { POSITION=$(printf '%X/%X' "$(($1 >> 32))" "$(($1 & 0xFFFFFFFF))"); }

# HISTORY: "TIMELINE FIRST_SEGMENT" a line, newest first: from FD_timeline back to the first. The
# segment in which a timeline begins is its own, from the parent's beginning of it on.
read_history() {
	HISTORY='' begins=0
	if [ "$FD_timeline" -gt 1 ]; then
		file=$DATA/pg_wal/$(printf '%08X' "$FD_timeline").history
		[ -r "$file" ] || return 1
		while read -r came_from switched_at _; do
			if ! is_number "$came_from" || ! is_lsn "$switched_at"; then continue; fi
			HISTORY="$came_from $begins$LINE_END$HISTORY"
			read_position "$switched_at"
			begins=$((BYTES / WAL_SEGMENT))
		done <"$file"
	fi
	HISTORY="$FD_timeline $begins$LINE_END$HISTORY"
}

# NEWER: the highest timeline above FD_timeline that this directory knows of.
read_newer_timeline() {
	NEWER=
	set +f
	for file in "$DATA"/pg_wal/????????.history; do
		number=${file##*/}
		number=${number%.history}
		case $number in *[!0-9A-F]*) continue ;; esac
		[ "$((0x$number))" -le "$FD_timeline" ] || NEWER=$((0x$number))
	done
	set -f
}

segment_name() { SEGMENT=$(printf '%08X%08X%08X' "$1" "$(($2 / (0x100000000 / WAL_SEGMENT)))" "$(($2 % (0x100000000 / WAL_SEGMENT)))"); }

# SEGMENT: the file that holds this segment, of the newest timeline that has it; where none does,
# the name that it must have, and false.
find_segment() {
	wanted=
	IFS=$LINE_END
	for entry in $HISTORY; do
		[ "$1" -ge "${entry#* }" ] || continue
		segment_name "${entry% *}" "$1"
		: "${wanted:=$SEGMENT}"
		if [ -f "$DATA/pg_wal/$SEGMENT" ]; then
			unset IFS
			return 0
		fi
	done
	unset IFS
	SEGMENT=$wanted
	return 1
}

# LAST_NAME and its number LAST: the last segment file of FD_timeline, be it of recycled content.
find_last() {
	LAST_NAME=
	set +f
	for file in "$DATA/pg_wal/$(printf '%08X' "$FD_timeline")"????????????????; do
		case ${file##*/} in *[!0-9A-F]*) ;; *) LAST_NAME=${file##*/} ;; esac
	done
	set -f
	[ -n "$LAST_NAME" ] || return 1
	number=${LAST_NAME#????????}
	LAST=$((0x${number%????????} * (0x100000000 / WAL_SEGMENT) + 0x${number#????????}))
}

# WINDOW: a directory in which all segments from number $1 on bear the name of FD_timeline: pg_wal
# itself, unless the timeline begins later.
open_window() {
	WINDOW=$DATA/pg_wal
	! find_last || [ "$SEGMENT" != "$(segment_name "$FD_timeline" "$1" && echo "$SEGMENT")" ] || return 0
	WINDOW=$(mktemp -d /dev/shm/failoverd.XXXXXX 2>/dev/null || mktemp -d /tmp/failoverd.XXXXXX) || return 1
	linked=$1
	while find_segment "$linked"; do
		file=$DATA/pg_wal/$SEGMENT
		segment_name "$FD_timeline" "$linked"
		ln -s "$file" "$WINDOW/$SEGMENT" || return 1
		LAST_NAME=$SEGMENT LAST=$linked linked=$((linked + 1))
	done
}

close_window() { [ "$WINDOW" = "$DATA/pg_wal" ] || rm -rf "$WINDOW"; }

# waldump START MORE...: from bytes START on, through the last segment of the window.
waldump() {
	name_position "$1"
	segment_name "$FD_timeline" "$(($1 / WAL_SEGMENT))"
	shift
	timeout -k 1 "$FD_seconds" "$FD_bin_dir/pg_waldump" -p "$WINDOW" -s "$POSITION" "$@" "$SEGMENT" "$LAST_NAME"
}

# LAST_RECORD and WAL_END, in bytes, of what is in the window; fails with UNREAD, why not.
read_window() {
	from=$1
	while :; do
		SAID=$(waldump "$from" -r "$NEVER_WRITTEN" 2>&1 >/dev/null)
		told=$?
		case $told in 124 | 137) UNREAD="not read within $FD_seconds s" && return 1 ;; esac
		case $SAID in *'could not find a valid record after'*) ;; *) break ;; esac
		# Within one long record, or beyond the end: further back.
		from=$(((from - 1) / WAL_SEGMENT * WAL_SEGMENT))
		if [ "$from" -lt "$((FIRST * WAL_SEGMENT))" ]; then
			UNREAD="no record is found before the position" && return 1
		fi
	done
	case $SAID in
	*'error in WAL record at '*) SAID=${SAID#*error in WAL record at } ;;
	*'could not read'*', read '*' of '* | *'could not find file'* | *'No such file'* | '' | 'pg_waldump: first record is after '*)
		# Up to the last byte that is there. What was read last is in the last segment, or before.
		SAID=$(waldump "$from" 2>/dev/null | tail -n 1)
		SAID=${SAID##*lsn: }
		SAID=${SAID%%,*}:
		;;
	*) UNREAD="pg_waldump: $(printf '%s\n' "$SAID" | grep -m 1 -v 'first record is after')" && return 1 ;;
	esac
	is_lsn "${SAID%%:*}" || { UNREAD="pg_waldump was not understood" && return 1; }
	read_position "${SAID%%:*}"
	LAST_RECORD=$BYTES
	read_record_end
}

# WAL_END: from the words where they name it, else from the length of the record at LAST_RECORD.
read_record_end() {
	case $SAID in
	*'invalid record length at '* | *'incorrect prev-link '*' at '*)
		next=${SAID##* at }
		next=${next%%[!0-9A-Fa-f/]*}
		if is_lsn "$next"; then
			read_position "$next"
			# Behind the header of a page lies what follows a record that filled the one before.
			case $((BYTES % WAL_SEGMENT)):$((BYTES % WAL_BLOCK)) in
			40:*) BYTES=$((BYTES - 40)) ;;
			*:24) BYTES=$((BYTES - 24)) ;;
			esac
			WAL_END=$BYTES
			return 0
		fi
		;;
	esac
	record=$(waldump "$LAST_RECORD" -n 1 2>/dev/null)
	left=${record#*len (rec/tot):*/}
	left=${left%%,*}
	left=${left##* }
	is_number "$left" || { UNREAD="the length of the last record is unknown" && return 1; }
	case $record in
	*'desc: SWITCH'*) WAL_END=$(((LAST_RECORD / WAL_SEGMENT + 1) * WAL_SEGMENT)) && return 0 ;;
	esac
	reckon_record_end "$left"
}

# A record goes on behind the header of each page: 24 bytes, 40 in the first of a segment.
reckon_record_end() {
	left=$1 at=$LAST_RECORD
	room=$((WAL_BLOCK - at % WAL_BLOCK))
	while [ "$left" -gt "$room" ]; do
		left=$((left - room))
		at=$((at + room))
		header=24
		[ "$((at % WAL_SEGMENT))" != 0 ] || header=40
		at=$((at + header))
		room=$((WAL_BLOCK - header))
	done
	WAL_END=$((at + (left + 7) / 8 * 8))
}

# WAL_FROM: FD_start in bytes. LAST_RECORD and WAL_END of the WAL on FD_timeline, which is sought
# from a little before it; fails with UNREAD, why not.
find_wal_end() {
	UNREAD=
	[ -x "$FD_bin_dir/pg_waldump" ] || UNREAD="$FD_bin_dir/pg_waldump is missing on this host"
	is_number "$WAL_SEGMENT" && is_number "$WAL_BLOCK" || UNREAD="pg_controldata tells no segment size"
	is_number "$FD_timeline" && is_lsn "$FD_start" || UNREAD="no timeline or no position was given"
	[ -z "$UNREAD" ] || return 1
	read_newer_timeline
	[ -z "$NEWER" ] || { UNREAD="timeline $NEWER was begun there" && return 1; }
	read_history || { UNREAD="the history of timeline $FD_timeline is missing" && return 1; }
	read_position "$FD_start"
	WAL_FROM=$BYTES
	number=$((WAL_FROM / WAL_SEGMENT)) FIRST=$((WAL_FROM / WAL_SEGMENT)) seek=$((WAL_FROM - BEFORE_WAL))
	[ "$FIRST" -lt 2 ] || ! find_segment "$((FIRST - 1))" || FIRST=$((FIRST - 1))
	find_segment "$FIRST" || { UNREAD="$SEGMENT is not there" && return 1; }
	[ "$seek" -ge "$((FIRST * WAL_SEGMENT))" ] || seek=$((FIRST * WAL_SEGMENT))
	open_window "$FIRST" || { UNREAD="no temporary directory could be made" && return 1; }
	if [ "$((seek / WAL_SEGMENT))" -gt "$LAST" ]; then seek=$((LAST * WAL_SEGMENT)); fi
	read_window "$seek"
	told=$?
	close_window
	return "$told"
}

say_wal_end() {
	name_position "$LAST_RECORD"
	say last_record "$POSITION"
	name_position "$WAL_END"
	say wal_end "$POSITION"
	say wal_timeline "$FD_timeline"
	say wal_segment "$WAL_SEGMENT"
	say wal_block "$WAL_BLOCK"
}

# read_wal FROM COUNT: so many bytes of the WAL, from whole pages.
read_wal() {
	at=$1 until=$(($1 + $2))
	while [ "$at" -lt "$until" ]; do
		find_segment "$((at / WAL_SEGMENT))" || return 1
		stop=$(((at / WAL_SEGMENT + 1) * WAL_SEGMENT))
		[ "$stop" -le "$until" ] || stop=$until
		dd if="$DATA/pg_wal/$SEGMENT" bs="$WAL_BLOCK" skip="$((at % WAL_SEGMENT / WAL_BLOCK))" \
			count="$(((stop - at) / WAL_BLOCK))" 2>/dev/null || return 1
		at=$stop
	done
}

# PAGES_FROM and PAGES: the whole pages from FD_start to the end of the WAL; none where that lies
# before.
reckon_pages() {
	PAGES_FROM=$((WAL_FROM / WAL_BLOCK * WAL_BLOCK))
	PAGES=$(((WAL_END + WAL_BLOCK - 1) / WAL_BLOCK * WAL_BLOCK - PAGES_FROM))
	[ "$WAL_END" -gt "$WAL_FROM" ] || PAGES=0
}

# What a fence tells beside its proof, and never instead of it: the end, and what is missing of it
# up to FD_inline bytes. Whatever fails here is told as not known.
say_wal_beside() {
	[ -n "$FD_start" ] || return 0
	if ! find_wal_end; then
		say wal_unread "$UNREAD"
		return 0
	fi
	say_wal_end
	is_number "$FD_inline" || return 0
	reckon_pages
	if [ "$PAGES" -gt 0 ] && [ "$PAGES" -le "$FD_inline" ]; then
		name_position "$PAGES_FROM"
		say pages_from "$POSITION"
		printf 'pages_b64='
		read_wal "$PAGES_FROM" "$PAGES" | base64 | tr -d '\n'
		echo
	fi
}

verb_wal_end() {
	check_identity
	find_wal_end || finish "$EXIT_NOT_DONE" unread "$UNREAD"
	say_wal_end
	finish 0 read ""
}

# FD_count bytes from FD_start on, which begins a page: their checksum, then themselves.
verb_wal_send() {
	need dd sha256sum
	check_identity
	{ is_number "$FD_timeline" && is_number "$FD_count" && is_lsn "$FD_start"; } || cannot "it was not told what to send"
	read_history || finish "$EXIT_NOT_DONE" unread "the history of timeline $FD_timeline is missing"
	read_position "$FD_start"
	from=$BYTES
	sum=$(read_wal "$from" "$FD_count" | sha256sum)
	say sha256 "${sum%% *}"
	say data "$FD_count"
	read_wal "$from" "$FD_count" || finish "$EXIT_NOT_DONE" unread "$SEGMENT could not be read"
	echo
	finish 0 sent ""
}
