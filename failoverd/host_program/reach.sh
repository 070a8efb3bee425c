# Does a server answer there, seen from this host? Source: pg_isready(1): 0 accepting, 1 rejecting,
# 2 no response, 3 no attempt made. Its own -t is no limit: libpq before 17 takes 1 s for 2 s.
verb_reach() {
	[ -x "$FD_bin_dir/pg_isready" ] || cannot "$FD_bin_dir/pg_isready is missing on this host"
	timeout -k 1 "$FD_seconds" "$FD_bin_dir/pg_isready" -q -t 2 -h "${FD_host:-$FD_socket_dir}" -p "$FD_port"
	case $? in
	0) say answer accepting ;;
	1) say answer rejecting ;;
	2 | 124 | 137) say answer no_response ;;
	*) cannot "pg_isready made no attempt" ;;
	esac
	finish 0 tried ""
}
