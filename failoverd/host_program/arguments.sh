# What an argument may be made of, whoever has sent it: some were told by other hosts and by
# databases, and they end in SQL, in arithmetic and in names of files here.

# made_of CHARACTERS NAME...
made_of() {
	characters=$1
	shift
	for name in "$@"; do
		eval "value=\${FD_$name-}"
		# shellcheck disable=SC2254 # a class of characters
		case $value in *[!$characters]*) cannot "$name has a character that it may not have" ;; esac
	done
}

made_of '0-9' count epoch expires fast_seconds hold immediate_seconds inline limit sent since start_seconds \
	command_seconds system_identifier tablespaces timeline total ttl
made_of '0-9 ' pids
made_of '0-9.' seconds
made_of '0-9./' address
made_of '0-9A-Fa-f/' start until
made_of '0-9A-F:/ ' history
made_of 'a-z0-9_' ask method mode slot verb
made_of 'a-z0-9_ ' forward slots
made_of 'A-Za-z0-9_.-' arming boot_id nonce
made_of 'A-Za-z0-9_. -' incident owner
made_of 'A-Za-z0-9_.@:-' interface source
made_of 'A-Za-z0-9+/=' names_b64 restore_primary_conninfo_b64 restore_primary_slot_name_b64 \
	restore_max_standby_archive_delay_b64 restore_max_standby_streaming_delay_b64
