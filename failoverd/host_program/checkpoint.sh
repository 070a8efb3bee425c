# A checkpoint that is waited for, before a clean stop: what it has written the stop need not.
verb_checkpoint_now() {
	is_number "$FD_seconds" || cannot "seconds is not a number"
	may_act
	exec 9<&-
	# shellcheck disable=SC2086 # a prefix of words
	said=$(echo checkpoint | timeout -k 1 "$FD_seconds" $FD_become "$FD_bin_dir/psql" -X -q -v ON_ERROR_STOP=1 \
		-h "$FD_socket_dir" -p "$FD_port" -U "$FD_superuser" -d postgres -f - 2>&1) ||
		finish "$EXIT_NOT_DONE" not_done "no checkpoint within $FD_seconds s: $(complaint "$said")"
	finish 0 made ""
}
