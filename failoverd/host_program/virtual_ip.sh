# An address that only one host may have: looked at, added and told to the neighbours, removed.

as_root() {
	# shellcheck disable=SC2086 # a prefix of words
	if [ "$ME" = 0 ]; then timeout -k 1 4 "$@"; else timeout -k 1 4 $FD_root "$@"; fi 2>&1
}

has_address() {
	case $(ip -o -4 addr show dev "$FD_interface" 2>/dev/null) in *" inet $FD_address "*) return 0 ;; esac
	return 1
}

# Neighbours remember who had it; whoever does not hear this goes on with the old host.
announce() { as_root arping -U -c 2 -w 3 -I "$FD_interface" -s "${FD_address%/*}" "${FD_address%/*}" >/dev/null; }

# Whether anybody on this wire answers to it (RFC 5227); not to know it stops everything.
somebody_answers() {
	said=$(as_root arping -D -c 2 -w 3 -I "$FD_interface" "${FD_address%/*}") && return 1
	case $said in *'reply from'*) return 0 ;; esac
	cannot "arping cannot ask who has ${FD_address%/*}: $(last_line "$said")"
}

last_line() { printf '%s\n' "$1" | sed -n '$p'; }

verb_virtual_ip() {
	need ip arping
	case $FD_address in [0-9]*/[0-9]*) ;; *) cannot "no address was given" ;; esac
	ip link show dev "$FD_interface" >/dev/null 2>&1 || cannot "there is no interface $FD_interface on this host"
	read_boot
	if [ "$FD_mode" = look ]; then
		say boot_id "$BOOT_ID"
		say uptime "$UPTIME"
		has_address && finish 0 here ""
		finish 0 absent ""
	fi
	SYSTEM_IDENTIFIER=$FD_system_identifier
	check_expiry
	take_epoch
	said=''
	case $FD_mode in
	remove)
		! has_address || said=$(as_root ip addr del "$FD_address" dev "$FD_interface")
		! has_address || finish "$EXIT_NOT_DONE" not_removed "$FD_address is still here: $(last_line "$said")"
		finish 0 absent ""
		;;
	add)
		if ! has_address; then
			[ "$FD_ask" = no ] || ! somebody_answers || finish "$EXIT_NOT_DONE" taken "another host on this wire answers to ${FD_address%/*}"
			said=$(as_root ip addr add "$FD_address" dev "$FD_interface")
		fi
		has_address || finish "$EXIT_NOT_DONE" not_added "$FD_address is not here: $(last_line "$said")"
		announce || finish "$EXIT_NOT_DONE" not_announced "the neighbours could not be told of $FD_address"
		finish 0 here ""
		;;
	*) cannot "no such mode: $FD_mode" ;;
	esac
}
