# The watcher of the dead-man: a process of its own that has no streams, ignores the signals of a
# session that ends, and needs nobody. Looks every 0.2 s. Its clock is /proc/uptime, which goes on
# while the host sleeps.
#
# Renewed: it keeps its SQL session open. Not renewed for its TTL: it asks, at every look anew: a
# WAL message now, and what a named standby has flushed by now. It fires when the newest message
# that a standby is known to have was sent a second ago; so a standby that was frozen keeps it from
# firing for one second, and no longer. Nothing here ends it but itself.

ASKED_FOR=100 # centiseconds without an answer
LOOKS_OWED=3

verb_dead_man_watch() {
	trap '' HUP INT QUIT TERM PIPE ALRM USR1 USR2
	read_boot
	find_data_dir
	find_dead_man || exit 1
	{ read_stat "/proc/$$" && start_time; } || exit 1
	# shellcheck disable=SC2317 # a scan that cannot look into a process goes on: nobody is there to tell
	cannot() { return 1; }
	exec 6<>"$DEAD_MAN/answers.$FD_arming"
	rm -f "$DEAD_MAN/answers.$FD_arming"
	ANSWERS=/proc/$$/fd/6 # so that it outlives its folder
	NAMES=$(printf '%s\n' "$FD_standbys" | sed "s/'/''/g; s/.*/'&'/" | tr '\n' ',')
	NAMES=${NAMES%,}
	read_now
	RENEWED=$FD_sent LAST_LOOK=$NOW ASKING=no PSQL='' OPENED=0 SENT=0 ANSWERED=0
	watch
	close_session
	rm -f "$DEAD_MAN/beat.$FD_arming"
	exit 0
}

watch() {
	open_session
	while read_now && ! is_over; do
		read_renewed
		read_answers
		if [ "$NOW" -lt "$((RENEWED + FD_ttl))" ]; then
			ASKING=no
			keep_session
		else
			ask || return 0
		fi
		beat
		LAST_LOOK=$NOW
		sleep 0.2
	done
}

# Disarmed, or armed anew by somebody else.
is_over() {
	[ ! -e "$DEAD_MAN/claim.$FD_arming" ] || return 0
	read_arming && [ "$ARMING" != "$FD_arming" ]
}

read_renewed() {
	{ read -r id sent <"$DEAD_MAN/renewed"; } 2>/dev/null || return 0
	if [ "$id" = "$FD_arming" ] && is_number "$sent" && [ "$sent" -gt "$RENEWED" ]; then RENEWED=$sent; fi
}

# In place, and of one length: it needs no space that it has not, and is never seen half written.
beat() {
	session=no
	[ "$ANSWERED" = 0 ] || [ "$((NOW - ANSWERED))" -gt 300 ] || session=yes
	{ printf '%-12s %-20s %-16s %-3s .\n' "$$" "$START_TIME" "$NOW" "$session" 1<>"$DEAD_MAN/beat.$FD_arming"; } 2>/dev/null || :
}

# ---- asking

# Fails when there is nothing more to do.
ask() {
	if [ "$ASKING" = no ]; then
		WOKE=no
		begin_asking
	elif overslept; then
		WOKE=yes
		begin_asking
	fi
	LOOKS=$((LOOKS + 1))
	known=$SINCE
	[ "$PROVED" -le "$known" ] || known=$PROVED
	if [ "$NOW" -ge "$((RENEWED + FD_hold))" ] && [ "$((NOW - PROVED))" -lt "$ASKED_FOR" ]; then
		claim "$FD_arming" disarmed || :
		return 1
	fi
	if [ "$LOOKS" -gt "$LOOKS_OWED" ] && [ "$((NOW - known))" -ge "$ASKED_FOR" ]; then
		# Whoever disarms it makes the same file; without its folder it cannot be disarmed.
		if claim "$FD_arming" fired || [ ! -e "$DEAD_MAN/claim.$FD_arming" ]; then fire; fi
		return 1
	fi
	send_question
}

# It was stopped, or the host was: what was asked before that says nothing of now. But a host that is
# so busy that every look comes late must not put it off for ever: looks owed are not owed again.
overslept() {
	[ "$((NOW - LAST_LOOK))" -gt "$ASKED_FOR" ] && { [ "$WOKE" = no ] || [ "$LOOKS" -gt "$LOOKS_OWED" ]; }
}

begin_asking() {
	ASKING=yes LOOKS=0 PROVED=0 PENDING='' FIRST=$NOW
	SINCE=$((RENEWED + FD_ttl))
	[ "$((NOW - SINCE))" -le 50 ] || SINCE=$NOW
}

# The answer to a question: when it was sent, the end of its WAL message (0: in recovery, so nothing
# is committed here), and what the furthest of the named standbys had flushed.
send_question() {
	if has_ended; then open_session; fi
	printf "select %s, case when pg_is_in_recovery() then 0 else
		pg_wal_lsn_diff(pg_logical_emit_message(true, 'failoverd', 'dead-man'), '0/0') end,
		coalesce((select max(pg_wal_lsn_diff(flush_lsn, '0/0')) from pg_stat_replication
		where state = 'streaming' and application_name in (%s)), 0);\n" "$NOW" "$NAMES" >&8
	SENT=$NOW
}

# Each answer once, in the order of the questions. PROVED: when the newest message that a standby
# has was sent.
read_answers() {
	while read -r sent lsn flushed; do
		for number in "$sent" "$lsn" "$flushed"; do is_number "$number" || continue 2; done
		[ "$sent" -gt "$ANSWERED" ] || continue
		ANSWERED=$sent
		if [ "$ASKING" = yes ] && [ "$sent" -ge "$FIRST" ]; then prove; fi
	done <"$ANSWERS"
	# Nothing is under way that could be lost; psql appends.
	[ "$ANSWERED" != "$SENT" ] || printf '' >"$ANSWERS"
}

prove() {
	left=
	for message in $PENDING $sent:$lsn; do
		if [ "${message#*:}" -le "$flushed" ]; then PROVED=${message%:*}; else left="$left $message"; fi # in order: the last is the newest
	done
	PENDING=$left
}

# ---- the session

# psql reads from a pipe that this process alone holds open, so that it ends with it.
open_session() {
	close_session
	OPENED=$NOW
	mkfifo "$DEAD_MAN/questions.$FD_arming" || return 0
	exec 8<>"$DEAD_MAN/questions.$FD_arming"
	rm -f "$DEAD_MAN/questions.$FD_arming"
	# shellcheck disable=SC2086 # a prefix of words
	$FD_become "$FD_bin_dir/psql" -X -q -A -t -F ' ' -h "$FD_socket_dir" -p "$FD_port" -U "$FD_superuser" \
		-d 'dbname=postgres application_name=failoverd_dead_man connect_timeout=2' \
		<"/proc/$$/fd/8" >>"$ANSWERS" 2>/dev/null 6>&- 8>&- &
	PSQL=$!
	SENT=$ANSWERED # what the one before it did not answer nobody will
	set_session >&8
}

# Nothing ends it for being idle, nothing it does waits for a standby, or is logged.
set_session() {
	for setting in 'synchronous_commit = local' 'default_transaction_read_only = off' 'statement_timeout = 0' \
		'lock_timeout = 0' 'idle_in_transaction_session_timeout = 0' 'log_statement = none' \
		'log_min_duration_statement = -1' 'standard_conforming_strings = on'; do
		printf 'set %s;\n' "$setting"
	done
	printf '%s\n' "select set_config(name, '0', false) as done from pg_settings where name = 'idle_session_timeout' \\gset"
}

# One small question a second: a session that has died is known before it is needed.
keep_session() {
	if has_ended; then
		[ "$((NOW - OPENED))" -lt 100 ] || open_session
	elif [ "$SENT" != "$ANSWERED" ]; then
		[ "$((NOW - SENT))" -lt 300 ] || close_session
	elif [ "$((NOW - SENT))" -ge 100 ]; then
		printf 'select %s, 0, 0;\n' "$NOW" >&8
		SENT=$NOW
	fi
}

# Our own child: the PID of one that has ended may be a stranger's by now.
has_ended() {
	[ -n "$PSQL" ] && read_stat "/proc/$PSQL" && [ "$PARENT" = "$$" ] || return 0
	case $STATE in Z | X | x) ;; *) return 1 ;; esac
}

close_session() {
	exec 8>&-
	has_ended || kill -KILL "$PSQL" 2>/dev/null
	PSQL=
}

# ---- firing

# First the guard, for 0.3 s at most: a disk that hangs must not keep the server alive. Then SIGKILL
# to every process of the data directory, at first without a look at that disk.
fire() {
	read_boot
	fired_at=$UPTIME killed_at='' killed=0
	lay_guard_aside
	read_now
	until=$((NOW + 30))
	while [ ! -e "$GUARDED" ] && [ "$NOW" -lt "$until" ]; do
		sleep 0.02
		read_now
	done
	scan
	each_process kill_one KILL
	killed=$(printf '%s' "$PROCESSES" | grep -c .)
	tell_fired
	keep_down
	tell_fired
}

# In a process of its own, which may hang; GUARDED says that it is done, and how.
lay_guard_aside() {
	GUARDED=$DEAD_MAN/guarded.$FD_arming
	rm -f "$GUARDED"
	(
		if (lay_guard); then word=laid; else word=not_laid; fi
		printf '%s\n' "$word" >"$GUARDED"
	) &
}

# Until nothing is left, and whoever starts it gets a standby. Where the guard cannot be laid, for
# as long as it would have watched.
keep_down() {
	quiet=0
	while [ "$quiet" -lt 2 ]; do
		scan
		if [ -n "$PROCESSES" ] && ! is_guarded_since_before; then
			each_process kill_one KILL
			quiet=0
		else
			[ -n "$killed_at" ] || { read_boot && killed_at=$UPTIME && tell_fired; }
			read_guard
			if [ "$GUARD" != none ]; then quiet=$((quiet + 1)); elif [ -e "$GUARDED" ]; then lay_guard_aside; fi
		fi
		may_stay || return 0
		if [ -n "$killed_at" ]; then sleep 0.2; else sleep 0.02; fi
	done
}

is_guarded_since_before() { read_guard && [ "$GUARD" = ours ] && started_after_guard; }

may_stay() {
	read_now
	beat
	[ "$NOW" -lt "$((RENEWED + FD_hold))" ] || return 1
	! read_arming || [ "$ARMING" = "$FD_arming" ]
}

tell_fired() {
	word=
	{ read -r word <"$GUARDED"; } 2>/dev/null || :
	{
		printf 'fired_at_uptime=%s\nfired_renewed_at=%s\nfired_guard=%s\nfired_killed=%s\nfired_all_gone_at_uptime=%s\n' \
			"$fired_at" "$RENEWED" "${word:-unknown}" "$killed" "$killed_at" >"$DEAD_MAN/fired.new" &&
			mv -f "$DEAD_MAN/fired.new" "$DEAD_MAN/fired"
	} 2>/dev/null || :
}
