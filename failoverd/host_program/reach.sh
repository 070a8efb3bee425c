# Does a server answer there, seen from this host? Source: pg_isready(1): 0 accepting, 1 rejecting,
# 2 no response, 3 no attempt made. Ours is the shorter limit, so that 2 means: there is nobody
# (refused, no socket, no route), and silence is told apart from that.
verb_reach() {
	[ -x "$FD_bin_dir/pg_isready" ] || cannot "$FD_bin_dir/pg_isready is missing on this host"
	longer=$((${FD_seconds%.*} + 3))
	timeout -k 1 "$FD_seconds" "$FD_bin_dir/pg_isready" -q -t "$longer" -h "${FD_host:-$FD_socket_dir}" -p "$FD_port"
	case $? in
	0) say answer accepting ;;
	1) say answer rejecting ;;
	2) say answer nobody ;;
	124 | 137) say answer no_response ;;
	*) cannot "pg_isready made no attempt" ;;
	esac
	finish 0 tried ""
}
