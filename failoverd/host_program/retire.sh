# Stop a standby that was asked to promote and did not, so that another may be asked: a pending
# promotion cannot be revoked but by the end of the server. Its own standby.signal is a guard as
# good as ours: whoever starts it again gets a standby, without the promotion.

# The latest timeline that its disk has begun; 0: none but the first. Fails where that disk tells
# nothing: a WAL directory without a segment is not the one that the server wrote in.
newest_history() {
	names=$(ls "$DATA/pg_wal" 2>/dev/null) || return 1
	printf '%s\n' "$names" | grep -q -E '^[0-9A-F]{24}$' || return 1
	newest=$(printf '%s\n' "$names" | grep -E '^[0-9A-F]{8}\.history$' | sort | tail -n 1)
	echo "$((0x0${newest%.history}))"
}

verb_retire() {
	is_number "$FD_timeline" || cannot "no timeline was given"
	need ls sort tail
	may_act
	scan
	[ -z "$OTHER_MANAGER" ] || finish "$EXIT_OTHER_MANAGER" other_manager "$OTHER_MANAGER runs on this host"
	read_guard
	[ "$GUARD" != none ] || guard_or_finish
	sync "$DATA/standby.signal" "$DATA" || finish "$EXIT_NOT_DONE" not_guarded "its guard is not on disk"
	[ -z "$PROCESSES" ] || stop_immediately
	[ -z "$PROCESSES" ] || kill_all
	read_guard
	facts
	[ -z "$PROCESSES" ] || finish "$EXIT_NOT_DONE" not_stopped "processes are left, or were started again"
	! listens || finish "$EXIT_NOT_DONE" not_stopped "something still listens on port $FD_port"
	[ "$GUARD" != none ] || finish "$EXIT_NOT_DONE" not_guarded "its promotion took the guard away meanwhile"
	newest=$(newest_history) ||
		finish "$EXIT_NOT_DONE" unread "its pg_wal cannot be read: whether its promotion was done is not known"
	[ "$newest" -le "$FD_timeline" ] ||
		finish "$EXIT_NOT_DONE" promoted "its disk shows timeline $newest: its promotion was done"
	finish 0 retired ""
}
