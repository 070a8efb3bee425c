# Detach a standby, and put it back. As the owner over the local socket: ALTER SYSTEM takes a
# superuser on PostgreSQL 13 and 14. The slot name is the mark of a frozen standby: it is set
# first and put back last, so that a freeze cut off half way can be told, and undone.

freeze_statements() {
	name_frozen_slot
	frozen=$FROZEN_SLOT
	waiting="exists (select from pg_stat_wal_receiver)
		or current_setting('primary_conninfo') <> '' or current_setting('primary_slot_name') <> '$frozen'"
	printf '%s\n' 'select not pg_is_in_recovery() as primary \gset' \
		'\if :primary' \
		"select 'primary=yes';" \
		'\quit' \
		'\endif' \
		"select 'timeline=' || greatest((select received_tli from pg_stat_wal_receiver),
			(select timeline_id from pg_control_checkpoint()),
			(select min_recovery_end_timeline from pg_control_recovery()),
			(select max(('x' || substr(name, 1, 8))::bit(32)::int) from pg_ls_waldir()
			  where name ~ '^[0-9A-F]{24}\$'));" \
		"alter system set primary_slot_name = '$frozen';" \
		"alter system set primary_conninfo = '';" \
		'alter system set max_standby_archive_delay = 0;' \
		'alter system set max_standby_streaming_delay = 0;' \
		'select pg_reload_conf() as reloaded \gset' \
		"select $waiting as waiting \\gset"
	# A session reads new settings between its statements only, so no loop on the server will do.
	for pause in 0.002 0.005 0.01 0.02 0.02 0.02 0.02 0.05 0.05 0.05 0.05 0.1 0.1 0.1 0.1 0.1 0.2 0.2 0.2 \
		0.2 0.2 0.4 0.4 0.4; do
		printf '%s\n' '\if :waiting' "select pg_sleep($pause);" "select $waiting as waiting \\gset" '\endif'
	done
	echo "select 'position=' || greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
		where not :'waiting'::bool;"
}

verb_freeze() {
	may_act
	said=$(freeze_statements | sql) || finish "$EXIT_NOT_DONE" not_frozen "$(complaint "$said")"
	case $said in
	*primary=yes*) finish "$EXIT_NOT_DONE" not_frozen "it is not in recovery" ;;
	*position=*) ;;
	*) finish "$EXIT_NOT_DONE" not_frozen "its WAL receiver did not stop within 3 s" ;;
	esac
	printf '%s\n' "$said" | grep -E '^(position|timeline)='
	finish 0 frozen ""
}

# restore SETTING: the statement that puts it back; fails where its old value was not given.
restore() {
	eval "unset=\${FD_restore_${1}_unset-} given=\${FD_restore_${1}_b64+yes} value=\${FD_restore_${1}_b64-}"
	if [ "$unset" = yes ]; then
		printf 'alter system reset %s;\n' "$1"
	elif [ "$given" = yes ]; then
		value=$(printf '%s' "$value" | base64 -d 2>/dev/null) || return 1
		printf "alter system set %s = '%s';\n" "$1" "$(printf '%s' "$value" | sed "s/'/''/g")"
	else
		return 1
	fi
}

# These may hold a password, which must not get into the server's log either.
restore_statements() {
	echo "set log_statement = 'none'; set log_min_duration_statement = -1;"
	echo "set log_min_error_statement = 'panic'; set standard_conforming_strings = on;"
	for setting in primary_conninfo max_standby_archive_delay max_standby_streaming_delay primary_slot_name; do
		restore "$setting" || return 1
	done
	echo 'select pg_reload_conf();'
}

# An older epoch's freeze is undone, too; a newer one's is safe, since this host keeps the epoch.
verb_thaw() {
	need base64
	may_act
	frozen=$(echo "select starts_with($(in_auto_conf "'primary_slot_name'"), 'failoverd_frozen_')" | sql) ||
		finish "$EXIT_NOT_DONE" not_thawed "$(complaint "$frozen")"
	[ "$frozen" = t ] || finish 0 not_frozen ""
	statements=$(restore_statements) || cannot "the settings to put back are not all given"
	printf '%s\n' "$statements" | sql >/dev/null ||
		finish "$EXIT_NOT_DONE" not_thawed "its settings could not be put back"
	finish 0 thawed ""
}
