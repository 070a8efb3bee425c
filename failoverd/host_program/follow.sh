# Whom a standby follows: what it was told so far, the slots that its upstream keeps for it, and
# what it is told now. As the owner over the local socket, as everything that is set on a standby.

# Below postgresql.auto.conf there is postgresql.conf and what it includes: its last word counts
# where a setting is not in the former. Changes nothing.
verb_upstream() {
	check_identity
	said=$(
		echo "select 'in_recovery=' || pg_is_in_recovery();
			select 'frozen=yes' where starts_with($(in_auto_conf "'primary_slot_name'"), 'failoverd_frozen_');
			select key || name || '_b64=' || translate(encode(convert_to(setting, 'UTF8'), 'base64'), chr(10), '')
			  from (select distinct on (1, 2)
			               case when sourcefile like '%/postgresql.auto.conf' then 'saved_' else 'saved_below_' end,
			               name, setting
			          from pg_file_settings
			         where name in ('primary_conninfo', 'primary_slot_name') and setting is not null
			         order by 1, 2, seqno desc) as said(key, name, setting);" | sql
	) || finish "$EXIT_NOT_DONE" not_read "$(complaint "$said")"
	printf '%s\n' "$said" | grep -E '^(in_recovery|frozen|saved_)'
	read_boot
	say boot_id "$BOOT_ID"
	say uptime "$UPTIME"
	finish 0 read ""
}

# Physical slots by name, each made where it is not there yet, and with its WAL kept from now on.
verb_slots() {
	may_act
	said=$(
		echo "select 'slot=' || slot_name || ' there' from pg_replication_slots
			 where slot_name = any(string_to_array('$FD_slots', ' '));
			select 'slot=' || slot_name || ' made' from (
			  select (pg_create_physical_replication_slot(name, true)).slot_name
			    from unnest(string_to_array('$FD_slots', ' ')) as wanted(name)
			   where not exists (select from pg_replication_slots s where s.slot_name = name)) as made;" | sql
	) || finish "$EXIT_NOT_DONE" not_made "$(complaint "$said")"
	printf '%s\n' "$said" | grep '^slot='
	finish 0 made ""
}

# Settings that may hold a password come as restore_*, as in a thaw; those not given stay as they are.
verb_follow() {
	need base64
	may_act
	standby=$(echo "select pg_is_in_recovery()" | sql) || finish "$EXIT_NOT_DONE" not_told "$(complaint "$standby")"
	[ "$standby" = t ] || finish "$EXIT_NOT_DONE" not_told "it is not in recovery"
	statements=$(
		echo "set log_statement = 'none'; set log_min_duration_statement = -1;"
		echo "set log_min_error_statement = 'panic'; set standard_conforming_strings = on;"
		restore primary_conninfo || exit 1
		restore max_standby_archive_delay
		restore max_standby_streaming_delay
		restore primary_slot_name || exit 1 # last: it is the mark of a frozen standby
		echo 'select pg_reload_conf();'
	) || cannot "it was not said whom to follow"
	printf '%s\n' "$statements" | sql >/dev/null || finish "$EXIT_NOT_DONE" not_told "its settings could not be changed"
	finish 0 told ""
}

# Which standbys a commit waits for, on a primary or on one that is about to be one.
verb_synchronous() {
	need base64
	may_act
	names=$(printf '%s' "$FD_names_b64" | base64 -d 2>/dev/null | sed "s/'/''/g") || cannot "no names were given"
	said=$(
		printf "set standard_conforming_strings = on;\nalter system set synchronous_standby_names = '%s';\n" "$names" |
			{ cat && echo 'select pg_reload_conf();'; } | sql
	) || finish "$EXIT_NOT_DONE" not_set "$(complaint "$said")"
	finish 0 set ""
}

# Asked for, and not waited for: it goes on when this program has ended.
verb_checkpoint() {
	need setsid
	may_act
	# shellcheck disable=SC2086 # a prefix of words
	echo checkpoint | setsid $FD_become "$FD_bin_dir/psql" -X -q -h "$FD_socket_dir" -p "$FD_port" \
		-U "$FD_superuser" -d postgres -f - >/dev/null 2>&1 9<&- &
	finish 0 asked ""
}
