# Sessions that hold replay up, by number, where the SQL role may not end them.
verb_end_readers() {
	for pid in $FD_pids; do is_number "$pid" || cannot "no such process: $pid"; done
	may_act
	said=$(
		echo "select 'ended=' || pid from pg_stat_activity
			 where backend_type = 'client backend' and pid = any(string_to_array('$FD_pids', ' ')::int[])
			   and pg_is_in_recovery() and pg_terminate_backend(pid);" | sql
	) || finish "$EXIT_NOT_DONE" not_ended "$(complaint "$said")"
	printf '%s\n' "$said" | grep '^ended='
	finish 0 ended ""
}

# Ask for the promotion by pg_ctl, where the SQL role may not call pg_promote.
verb_promote() {
	may_act
	name_frozen_slot
	allowed=$(echo "select pg_is_in_recovery() and current_setting('primary_slot_name') = '$FROZEN_SLOT'" | sql) ||
		finish "$EXIT_NOT_DONE" not_promoted "$(complaint "$allowed")"
	[ "$allowed" = t ] || finish "$EXIT_NOT_DONE" not_promoted "it is not a standby frozen for epoch $FD_epoch"
	# shellcheck disable=SC2086 # a prefix of words
	said=$(timeout -k 1 10 $FD_become "$FD_bin_dir/pg_ctl" -D "$DATA" -W promote 2>&1 </dev/null) ||
		finish "$EXIT_NOT_DONE" maybe_asked "pg_ctl: $(first_line "$said")"
	finish 0 asked ""
}
