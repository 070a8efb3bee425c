# A file of ours that PgBouncer includes: read, or replaced whole or not at all.
DATABASES_MARK='; written by failoverd'

verb_databases() {
	need sync mv chmod base64
	case $FD_file in /*) ;; *) cannot "no file was given" ;; esac
	first=''
	if [ -e "$FD_file" ]; then
		{ read -r first <"$FD_file"; } 2>/dev/null || [ ! -s "$FD_file" ] || [ -n "$first" ] ||
			cannot "$FD_file is not readable as $(id -un)"
		case $first in
		"$DATABASES_MARK"*) ;;
		*) [ ! -s "$FD_file" ] || finish "$EXIT_NOT_DONE" foreign_file \
			"$FD_file was not written by failoverd: move its lines elsewhere, and empty it" ;;
		esac
	fi
	read_boot
	say boot_id "$BOOT_ID"
	say uptime "$UPTIME"
	if [ "$FD_mode" = read ]; then
		[ ! -e "$FD_file" ] || say content_b64 "$(base64 <"$FD_file" | tr -d '\n')"
		finish 0 read ""
	fi
	SYSTEM_IDENTIFIER=$FD_system_identifier
	check_expiry
	take_epoch
	new=$FD_file.failoverd
	said=$({
		printf '%s' "$FD_lines" >"$new" && chmod 644 "$new" && sync "$new" &&
			mv -f "$new" "$FD_file" && sync "${FD_file%/*}"
	} 2>&1) || finish "$EXIT_NOT_DONE" not_written "$FD_file cannot be written as $(id -un): $(first_line "$said")"
	finish 0 written ""
}
