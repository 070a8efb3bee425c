# The dead-man: what arms, renews, disarms and looks at the watcher (watcher.sh) on a primary's host.
#
# One folder a server, on tmpfs where there is one. Each arming has an ID, the nonce of its call:
#   arming        what is armed, key=value; replaced as a whole by whoever arms
#   renewed       ID and centiseconds since boot; replaced as a whole by whoever renews
#   beat.ID       written by the watcher at every look, in place: a full tmpfs does not stop it
#   claim.ID      empty; the arming ended, and only one could make it: disarmed, or about to fire
#   disarmed.ID, fired.ID   empty, made right after the claim: which of the two it was
#   fired         what the watcher did, key=value
# The folder may vanish (logind removes those of a user who has logged out). That is never taken
# for a disarming: what can be neither renewed nor disarmed asks, and fires if nobody answers. It is
# found by its process then, and said not to be disarmed.

BEAT_LIMIT=200 # centiseconds; the watcher looks every 0.2 s

is_private() {
	# shellcheck disable=SC3067 # dash, bash, ksh and busybox have -O
	[ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ]
}

# dead_man_places COMMAND...: call it with the root of each folder that could be ours; stops where it
# succeeds. Not first in /run/user: it ends with the last session, so just when the daemon is cut off.
dead_man_places() {
	for place in /dev/shm "/run/user/$ME" "${FD_state_dir:-${HOME:-/}/.failoverd}"; do
		! "$@" "$place/failoverd-dead-man.$ME" || return 0
	done
	return 1
}

# DEAD_MAN: the folder; empty where there is none.
find_dead_man() {
	DEAD_MAN=
	server=${SYSTEM_IDENTIFIER:-$FD_system_identifier}
	is_number "$server" || return 1
	dead_man_places is_dead_man
}

is_dead_man() {
	is_private "$1" && [ -d "$1/$server.$FD_port" ] && DEAD_MAN=$1/$server.$FD_port
}

open_dead_man() { find_dead_man || dead_man_places make_dead_man; }

make_dead_man() {
	{ mkdir -p "${1%/*}" && { [ -d "$1" ] || mkdir -m 700 "$1"; } && is_private "$1" &&
		mkdir "$1/$server.$FD_port" && printf '\n' >"$1/$server.$FD_port/renewed"; } 2>/dev/null || return 1
	DEAD_MAN=$1/$server.$FD_port
}

# ARMING, its facts and ENDED (how it ended; empty: it has not). Of this boot only.
read_arming() {
	ARMING='' ARMED_EPOCH=0 ARMED_BOOT='' ARMED_PID='' ARMED_STARTED='' ENDED=''
	[ -n "$DEAD_MAN" ] || return 1
	{
		while IFS='=' read -r key value; do
			case $key in
			arming) ARMING=$value ;;
			armed_epoch) ARMED_EPOCH=$value ;;
			armed_boot_id) ARMED_BOOT=$value ;;
			armed_postmaster_pid) ARMED_PID=$value ;;
			armed_postmaster_started) ARMED_STARTED=$value ;;
			esac
		done <"$DEAD_MAN/arming"
	} 2>/dev/null
	[ -n "$ARMING" ] && [ "$ARMED_BOOT" = "$BOOT_ID" ] && is_number "$ARMED_EPOCH" || return 1
	[ -e "$DEAD_MAN/claim.$ARMING" ] || return 0
	ENDED=claimed # by somebody who is just saying what for
	for how in fired disarmed; do
		[ ! -e "$DEAD_MAN/$how.$ARMING" ] || { ENDED=$how && break; }
	done
}

# claim ID WORD: end that arming. Succeeds for one caller only, ever.
claim() {
	set -C # made only if it is not there: O_EXCL
	{ printf '' >"$DEAD_MAN/claim.$1"; } 2>/dev/null
	claimed=$?
	set +C
	[ "$claimed" = 0 ] || return 1
	{ printf '' >"$DEAD_MAN/$2.$1"; } 2>/dev/null || :
}

# WATCHER, SESSION and BEAT_AGE of the arming; fails where nobody watches, with WHY_NOT.
watcher_lives() {
	WATCHER='' SESSION=no BEAT_AGE='' WHY_NOT='it has not begun to watch'
	{ read -r WATCHER started beat SESSION _ <"$DEAD_MAN/beat.$ARMING"; } 2>/dev/null || return 1
	WHY_NOT="its process $WATCHER has ended"
	is_number "$WATCHER" && is_number "$beat" && read_stat "/proc/$WATCHER" || return 1
	case $STATE in
	Z | X | x) return 1 ;;
	T | t)
		WHY_NOT="its process $WATCHER is stopped"
		return 1
		;;
	esac
	start_time
	[ "$started" = "$START_TIME" ] || return 1
	read_now
	BEAT_AGE=$((NOW - beat))
	WHY_NOT="its process $WATCHER has not looked for $BEAT_AGE hundredths of a second"
	[ "$BEAT_AGE" -le "$BEAT_LIMIT" ] || return 1
	WHY_NOT=
}

# LOST: the PID of a watcher of this server whose folder has vanished; fails where there is none.
find_lost_watcher() {
	set +f
	for process in /proc/[0-9]*; do
		{ read -r name <"$process/comm"; } 2>/dev/null || continue
		case $name in sh | bash | dash | ksh* | busybox) ;; *) continue ;; esac
		# shellcheck disable=SC3067 # dash, bash, ksh and busybox have -O
		if [ -O "$process" ] && grep -q -s -a -F "$(watcher_name)" "$process/cmdline"; then
			LOST=${process#/proc/}
			set -f
			return 0
		fi
	done
	set -f
	return 1
}

# Of which server, and ended so that no port is the beginning of another.
watcher_name() { printf 'failoverd-dead-man %s.%s.' "${SYSTEM_IDENTIFIER:-$FD_system_identifier}" "$FD_port"; }

# START_TIME: field 22 of /proc/PID/stat, after read_stat. A PID comes back, with another one.
start_time() {
	# shellcheck disable=SC2086 # words
	set -- $stat
	shift 18
	START_TIME=$1
}

say_armed() {
	say boot_id "$BOOT_ID"
	say uptime "$UPTIME"
	say arming "$ARMING"
	say armed_epoch "$ARMED_EPOCH"
	say armed_boot_id "$ARMED_BOOT"
	say armed_postmaster_pid "$ARMED_PID"
	say armed_postmaster_started "$ARMED_STARTED"
	say watcher_pid "$WATCHER"
	say session "$SESSION"
	say beat_age "$BEAT_AGE"
	say ended "$ENDED"
}

not_armed() { finish "$EXIT_NOT_DONE" "$1" "$2"; }

# Two who arm or disarm take turns; this is never held by a watcher, and no act waits for it.
lock_dead_man() {
	exec 7<"$DEAD_MAN"
	flock -w 4 7 || finish "$EXIT_NOT_DONE" busy "somebody else is arming or disarming"
}

refuse_older_epoch() {
	is_number "$FD_epoch" || finish "$EXIT_STALE_EPOCH" stale_epoch "no epoch was given"
	[ "$FD_epoch" -ge "$ARMED_EPOCH" ] ||
		finish "$EXIT_STALE_EPOCH" stale_epoch "epoch $FD_epoch is older than $ARMED_EPOCH, which armed the dead-man"
}

# Times are centiseconds: FD_ttl, FD_hold, and FD_sent since boot. FD_standbys: their application
# names, one a line. FD_program: this text, for the watcher to run.
verb_dead_man_arm() {
	need setsid mkfifo flock
	for number in "$FD_sent" "$FD_ttl" "$FD_hold"; do
		is_number "$number" || cannot "sent, ttl and hold are numbers of centiseconds"
	done
	case $FD_nonce in '' | *[!0-9A-Za-z]*) cannot "the nonce is no name of a file" ;; esac
	{ [ -n "$FD_standbys" ] && [ -n "$FD_program" ]; } || cannot "no standby was named, or no program given"
	may_act
	scan
	find_postmaster || not_armed not_armed "no postmaster runs there"
	kill -0 "$POSTMASTER" 2>/dev/null || not_armed not_armed "$(id -un) may not signal the server's processes"
	read_guard
	[ "$GUARD" = none ] || not_armed not_armed "a standby.signal lies in $DATA: no primary by right"
	said=$(echo 'select pg_is_in_recovery()' | sql) || not_armed not_armed "$(complaint "$said")"
	[ "$said" = f ] || not_armed not_armed "the server is in recovery"
	exec 9<&- # an act on the data directory need not wait for what follows
	open_dead_man || cannot "no folder for the dead-man can be made in /dev/shm, /run/user or the state directory"
	lock_dead_man
	take_over
	keep_arming || cannot "cannot write in $DEAD_MAN"
	[ "$FD_sent" -le "$NOW" ] || FD_sent=$NOW
	[ -n "$FD_incident" ] || FD_incident=dead_man # whose guard it is
	start_watcher
	wait_for_watcher
	say_armed
	finish 0 armed ""
}

# From the watcher of an earlier arming, unless that one is just firing.
take_over() {
	read_arming || return 0
	refuse_older_epoch
	if [ -z "$ENDED" ] && ! claim "$ARMING" disarmed; then
		not_armed fired "the dead-man of an earlier arming has just fired"
	fi
	rm -f "$DEAD_MAN/beat.$ARMING" "$DEAD_MAN/fired"
}

keep_arming() {
	ARMING=$FD_nonce
	{
		printf 'arming=%s\narmed_epoch=%s\narmed_boot_id=%s\narmed_postmaster_pid=%s\narmed_postmaster_started=%s\n' \
			"$ARMING" "$FD_epoch" "$BOOT_ID" "$POSTMASTER" "$PID_FILE_STARTED" >"$DEAD_MAN/arming.new" &&
			mv -f "$DEAD_MAN/arming.new" "$DEAD_MAN/arming"
	} 2>/dev/null && read_arming
}

in_quotes() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

# Away from this session, and without its streams and locks, which it would hold for ever.
start_watcher() {
	{
		for name in data_dir bin_dir port system_identifier socket_dir superuser become state_dir epoch \
			incident boot_id standbys ttl hold sent; do
			eval "value=\$FD_$name"
			printf 'FD_%s=%s\n' "$name" "$(in_quotes "$value")"
		done
		printf 'FD_verb=dead_man_watch\nFD_arming=%s\n%s\n' "$ARMING" "$FD_program"
	} 2>/dev/null 7<&- | setsid sh -s "$(watcher_name)" >/dev/null 2>&1 7<&- &
}

wait_for_watcher() {
	read_now
	until=$((NOW + 300))
	until watcher_lives && [ "$SESSION" = yes ]; do
		read_now
		[ "$NOW" -lt "$until" ] || {
			claim "$ARMING" disarmed || :
			not_armed not_armed "it does not watch: ${WHY_NOT:-it has no session with the server}"
		}
		sleep 0.05
	done
}

# Cheap: it looks at nothing but the dead-man's own folder, so that a disk that hangs is no
# missed renewal. What is renewed and whose watcher does not look is said not to be.
verb_dead_man_renew() {
	check_expiry
	is_number "$FD_sent" || cannot "sent is a number of centiseconds"
	{ find_dead_man && read_arming; } || not_armed not_armed "nothing is armed there"
	refuse_older_epoch
	[ "$FD_arming" = "$ARMING" ] || not_armed not_armed "that arming was taken over by another one"
	[ "$FD_sent" -le "$NOW" ] || FD_sent=$NOW
	{ printf '%s %s\n' "$ARMING" "$FD_sent" >"$DEAD_MAN/renewed.$$" && mv -f "$DEAD_MAN/renewed.$$" "$DEAD_MAN/renewed"; } \
		2>/dev/null || cannot "cannot write in $DEAD_MAN"
	lives=yes
	watcher_lives || lives=no
	read_arming || : # once more: it may have ended before this renewal was there
	say_armed
	[ -z "$ENDED" ] || not_armed "$ENDED" "the dead-man has $ENDED"
	[ "$lives" = yes ] || not_armed not_watching "the dead-man does not watch: $WHY_NOT"
	finish 0 renewed ""
}

# Once this is answered with status 0 it does not fire. Without FD_arming: whichever is armed.
verb_dead_man_disarm() {
	check_expiry
	need flock
	find_dead_man || nothing_to_disarm
	lock_dead_man
	read_arming || nothing_to_disarm
	refuse_older_epoch
	[ "${FD_arming:-$ARMING}" = "$ARMING" ] || not_armed not_disarmed "that arming was taken over by another one"
	[ -n "$ENDED" ] || claim "$ARMING" disarmed || :
	for _ in 1 2 3 4 5; do
		read_arming || :
		[ "$ENDED" = claimed ] || break
		sleep 0.05
	done
	case $ENDED in
	disarmed) finish 0 disarmed "" ;;
	'') not_armed not_disarmed "cannot write in $DEAD_MAN" ;;
	*) not_armed fired "the dead-man has fired" ;;
	esac
}

nothing_to_disarm() {
	! find_lost_watcher || not_armed not_disarmed "$(of_the_lost)"
	finish 0 disarmed ""
}

of_the_lost() {
	printf "%s%s" "its folder has vanished, and its process $LOST watches on: not renewed it asks the standbys, fires" \
		" if none answers, and else ends a minute after its last renewal"
}

# Needs no right, and changes nothing.
verb_dead_man_status() {
	read_boot
	WATCHER='' SESSION='' BEAT_AGE=''
	{ find_dead_man && read_arming; } || say_not_armed
	lives=yes
	watcher_lives || lives=no
	say_armed
	say watching "$lives"
	say_fired
	finish 0 "${ENDED:-armed}" ""
}

say_not_armed() {
	find_lost_watcher || finish 0 not_armed ""
	say boot_id "$BOOT_ID"
	say uptime "$UPTIME"
	say watcher_pid "$LOST"
	say watching yes
	finish 0 lost "$(of_the_lost)"
}

# For every look at this host: one line, and what happened where it has fired.
say_dead_man() {
	{ find_dead_man && read_arming; } || return 0
	say dead_man "${ENDED:-armed}"
	say_fired
}

say_fired() {
	[ "$ENDED" != fired ] || [ ! -r "$DEAD_MAN/fired" ] || sed -n '/^fired_/p' "$DEAD_MAN/fired"
}
