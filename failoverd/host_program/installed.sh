# Installed as the only command that failoverd's key may run here:
#   restrict,command="/usr/local/libexec/failoverd-host" ssh-ed25519 AAAA... failoverd
# It runs the program below, never the one that was sent: of what arrives it takes the arguments,
# and of those the ones that it knows, made of what they may be made of. Where this server lies and
# how it is started was said when this file was made: whoever has the key cannot say otherwise.

refuse() {
	printf 'failoverd: refused: %s\n' "$1" >&2
	exit 126
}

is_count() {
	case $1 in '' | *[!0-9]* | ????????*) return 1 ;; esac
}

# LIMIT and LENGTH of what the daemon asks sshd for; LENGTH is empty where no data follows.
read_request() {
	request=$1
	[ -z "$BECOME" ] || case $request in "$BECOME "*) request=${request#"$BECOME "} ;; *) refuse "not by $BECOME" ;; esac
	case $request in 'timeout -k 2 '*' sh -'*) ;; *) refuse "not a request of the daemon" ;; esac
	request=${request#timeout -k 2 }
	LIMIT=${request%% *} LENGTH=
	request=${request#"$LIMIT "}
	is_count "$LIMIT" || refuse "no time limit"
	[ "$request" != 'sh -s' ] || return 0
	LENGTH=${request#"sh -c 'exec 3<&0; eval \"\$(head -c "}
	LENGTH=${LENGTH%")\"'"}
	{ [ "$request" = "sh -c 'exec 3<&0; eval \"\$(head -c $LENGTH)\"'" ] && is_count "$LENGTH"; } ||
		refuse "not a request of the daemon"
}

# As whom the key opens; as the owner, who alone may end what runs too long; and within its time.
case ${1-} in
'')
	read_request "${SSH_ORIGINAL_COMMAND-}"
	# shellcheck disable=SC2086 # words, or none
	exec $BECOME "$0" as_owner "$LIMIT" "$LENGTH"
	;;
as_owner)
	is_count "${2-}" || refuse "no time limit"
	exec timeout -k 2 "$2" "$0" run "${3-}"
	;;
run) ;;
*) refuse "not a request of the daemon" ;;
esac

LINE_BREAK='
'

# read_value REST: VALUE, as the daemon has quoted it, over as many lines as it has.
read_value() {
	VALUE=
	case $1 in
	\'*) rest=${1#\'} ;;
	'' | *[!A-Za-z0-9@%+=:,./_-]*) refuse "a value that is not quoted" ;;
	*)
		VALUE=$1
		return 0
		;;
	esac
	while :; do
		case $rest in
		*\'*)
			VALUE=$VALUE${rest%%\'*}
			rest=${rest#*\'}
			case $rest in
			'') return 0 ;;
			\"\'\"\'*)
				VALUE="$VALUE'"
				rest=${rest#\"\'\"\'}
				;;
			*) refuse "something behind a value" ;;
			esac
			;;
		*)
			VALUE=$VALUE$rest$LINE_BREAK
			IFS= read -r rest || refuse "a value without an end"
			;;
		esac
	done
}

read_arguments() {
	WHOLE=
	while IFS= read -r line; do
		case $line in
		'#!/bin/sh' | FD_program=*) # the program: its own, not this one
			WHOLE=yes
			return 0
			;;
		FD_*=*) ;;
		*) refuse "a line that is no argument" ;;
		esac
		name=${line%%=*}
		name=${name#FD_}
		case " $NAMES " in *" $name "*) ;; *) refuse "an argument that is not known" ;; esac
		read_value "${line#*=}"
		eval "FD_$name=\$VALUE"
	done
}

case ${2-} in
'') text=$(cat) ;;
*)
	is_count "$2" || refuse "not a request of the daemon"
	exec 3<&0
	text=$(head -c "$2")
	;;
esac
read_arguments <<END
$text
END
[ "$WHOLE" = yes ] || refuse "half a request"
text=
case " $VERBS " in *" ${FD_verb-} "*) ;; *) refuse "a verb that this host does not do" ;; esac

# A look at another node's port is none at a server of this host; an address has none.
for name in $PINNED; do
	case "$name $FD_verb" in 'port reach' | 'port virtual_ip') continue ;; esac
	eval "told=\${FD_$name-} pinned=\$PINNED_$name"
	# shellcheck disable=SC2154 # by eval
	[ "$told" = "$pinned" ] || [ -z "$told" ] || refuse "$name is another than this host was told"
	eval "FD_$name=\$pinned"
done
for name in address interface; do
	eval "told=\${FD_$name-} among=\$AMONG_$name"
	# shellcheck disable=SC2154
	case " $among " in *" $told "*) ;; *) [ -z "$told" ] || refuse "$name is another than this host was told" ;; esac
done
# These become lines of postgresql.auto.conf.
while IFS= read -r line; do
	case $line in
	'' | "primary_conninfo = '"*"'" | "primary_slot_name = '"*"'") ;;
	*) refuse "a setting that is not for the daemon" ;;
	esac
done <<END
${FD_secret_settings-}
END
case $FD_verb in dead_man_arm | rejoin_start) FD_program=$(sed '1,/^# ---- the program$/d' "$0") ;; esac
# ---- the program
