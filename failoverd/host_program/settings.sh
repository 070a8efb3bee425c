# What a freeze overwrites, read from postgresql.auto.conf by the server itself. Changes nothing.
FROZEN_SETTINGS="primary_slot_name primary_conninfo max_standby_archive_delay max_standby_streaming_delay"

# in_auto_conf NAME: its last value there as SQL; NULL where it is not set there. A name is
# looked up in the file, since a session may not have read it yet.
in_auto_conf() {
	printf '(select setting from pg_file_settings f where f.name = %s' "$1"
	printf " and sourcefile like '%%/postgresql.auto.conf' order by seqno desc limit 1)"
}

verb_settings() {
	check_identity
	slot=$(in_auto_conf "'primary_slot_name'")
	said=$(
		echo "select 'already_frozen=yes' where starts_with($slot, 'failoverd_frozen_');
			select 'saved_' || name || coalesce('_b64=' || translate(encode(convert_to(
			         $(in_auto_conf n.name), 'UTF8'), 'base64'), chr(10), ''), '_unset=yes')
			  from unnest(string_to_array('$FROZEN_SETTINGS', ' ')) as n(name);" | sql
	) || finish "$EXIT_NOT_DONE" not_read "$(complaint "$said")"
	case $said in
	already_frozen=yes*)
		say already_frozen yes
		finish "$EXIT_NOT_DONE" already_frozen "it is frozen already, and its own settings are not known here"
		;;
	esac
	printf '%s\n' "$said" | grep '^saved_'
	read_boot
	say boot_id "$BOOT_ID"
	say uptime "$UPTIME"
	finish 0 read ""
}
