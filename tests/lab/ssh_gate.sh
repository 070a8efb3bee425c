#!/bin/sh
# What sshd runs instead of what was asked for: holds the call that is waited for.
# See gate.py for the files of a gate.
gate=${0%/*}
program=$(mktemp "$gate/program.XXXXXX")
answer=$program.answer
case $SSH_ORIGINAL_COMMAND in
*" sh -s")
	cat >"$program"
	verb=$(sed -n '/^FD_verb=/{s///p;q;}' "$program")
	run() { sh -c "$SSH_ORIGINAL_COMMAND" <"$program"; }
	;;
*) # WAL goes through it, after or before the program itself
	verb=stream
	run() { sh -c "$SSH_ORIGINAL_COMMAND"; }
	;;
esac
echo "$verb" >>"$gate/log"

hold() {
	: >"$gate/held"
	until [ -s "$gate/go" ]; do sleep 0.01; done
	read -r word <"$gate/go"
}

moment=
if [ -e "$gate/armed" ]; then
	read -r moment wanted 2>/dev/null <"$gate/armed" || moment=
fi
if [ -z "$moment" ] || [ "$wanted" != "$verb" ] || ! mv "$gate/armed" "$gate/taken" 2>/dev/null; then
	run
	status=$?
elif [ "$moment" = answer ]; then
	run >"$answer"
	status=$?
	hold
	cat "$answer"
else
	hold
	status=1
	[ "$word" != deliver ] || { run; status=$?; }
fi
rm -f "$program" "$answer"
exit "$status"
