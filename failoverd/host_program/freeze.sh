# Detach a standby and put it back. As the owner over the local socket: ALTER SYSTEM takes a
# superuser on PostgreSQL 13 and 14.
FROZEN_SETTINGS="primary_conninfo primary_slot_name max_standby_archive_delay max_standby_streaming_delay"

# The value in postgresql.auto.conf, by the server's own reading of the file.
verb_settings() {
	need base64 tr grep
	check_identity
	current=$(echo "select current_setting('primary_slot_name')" | sql) ||
		finish $EXIT_NOT_DONE not_read "psql: $(printf '%s' "$current" | head -n 1)"
	case $current in
	failoverd_frozen_*)
		say already_frozen yes
		finish $EXIT_NOT_DONE already_frozen "it is frozen already, and its own settings are not known here"
		;;
	esac
	for setting in $FROZEN_SETTINGS; do
		value=$(
			sql <<-SQL
				select 'set' || encode(convert_to(setting, 'UTF8'), 'base64') from pg_file_settings
				 where name = '$setting' and sourcefile like '%postgresql.auto.conf' order by seqno desc limit 1
			SQL
		) || finish $EXIT_NOT_DONE not_read "psql: $(printf '%s' "$value" | head -n 1)"
		case $value in
		set*) say "saved_${setting}_b64" "$(printf '%s' "${value#set}" | tr -d '\n')" ;;
		*) say "saved_${setting}_unset" yes ;;
		esac
	done
	finish 0 read ""
}

position() {
	sql <<-'SQL'
		select greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
	SQL
}

verb_freeze() {
	check_identity
	check_expiry
	take_epoch
	# A standby only, in one session: a primary would keep these settings for its next life.
	said=$(
		sql <<-SQL
			select 1 / (pg_is_in_recovery()::int);
			alter system set primary_conninfo = '';
			alter system set primary_slot_name = 'failoverd_frozen_$FD_epoch';
			alter system set max_standby_archive_delay = 0;
			alter system set max_standby_streaming_delay = 0;
			select pg_reload_conf();
		SQL
	) || finish $EXIT_NOT_DONE not_frozen "psql: $(printf '%s' "$said" | grep -m 1 -E 'ERROR|FATAL|error' || printf '%s' "$said" | head -n 1)"
	said=$(
		sql <<-SQL
			do \$\$
			begin
			  for n in 1..300 loop
			    perform pg_stat_clear_snapshot();
			    exit when not exists (select from pg_stat_wal_receiver)
			          and current_setting('primary_slot_name') = 'failoverd_frozen_$FD_epoch';
			    perform pg_sleep(0.01);
			  end loop;
			end \$\$;
		SQL
	) || finish $EXIT_NOT_DONE not_frozen "psql: $(printf '%s' "$said" | head -n 1)"
	frozen=$(
		sql <<-SQL
			select current_setting('primary_slot_name') = 'failoverd_frozen_$FD_epoch'
			       and not exists (select from pg_stat_wal_receiver)
		SQL
	)
	[ "$frozen" = t ] || finish $EXIT_NOT_DONE not_frozen "its WAL receiver did not stop within 3 s"
	say position "$(position)"
	say timeline "$(echo "select timeline_id from pg_control_checkpoint()" | sql)"
	finish 0 frozen ""
}

restore_statements() {
	for setting in $FROZEN_SETTINGS; do
		eval "unset=\${FD_restore_${setting}_unset-}"
		eval "value=\${FD_restore_${setting}_b64-}"
		# shellcheck disable=SC2154 # set by the evals above
		if [ "$unset" = yes ]; then
			printf 'alter system reset %s;\n' "$setting"
		else
			printf "alter system set %s = '%s';\n" "$setting" "$(printf '%s' "$value" | base64 -d | sed "s/'/''/g")"
		fi
	done
}

verb_thaw() {
	need base64 sed
	check_identity
	check_expiry
	take_epoch
	current=$(echo "select current_setting('primary_slot_name')" | sql) ||
		finish $EXIT_NOT_DONE not_thawed "psql: $(printf '%s' "$current" | head -n 1)"
	case $current in failoverd_frozen_*) ;; *) finish 0 not_frozen "" ;; esac
	said=$({ restore_statements; echo "select pg_reload_conf();"; } | sql) ||
		finish $EXIT_NOT_DONE not_thawed "its settings could not be put back"
	finish 0 thawed ""
}

verb_promote() {
	check_identity
	check_expiry
	take_epoch
	allowed=$(echo "select pg_is_in_recovery() and current_setting('primary_slot_name') = 'failoverd_frozen_$FD_epoch'" | sql)
	[ "$allowed" = t ] || finish $EXIT_NOT_DONE not_promoted "it is not a standby frozen for epoch $FD_epoch"
	# shellcheck disable=SC2086 # a prefix of words
	said=$(timeout 10 $FD_become "$FD_bin_dir/pg_ctl" -D "$DATA" -W promote 2>&1 </dev/null) ||
		finish $EXIT_NOT_DONE not_promoted "pg_ctl: $(printf '%s' "$said" | head -n 1)"
	finish 0 asked ""
}
