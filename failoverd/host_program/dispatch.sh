# Last, so that half a program does nothing; standard input is the program itself: nobody's.
case $FD_verb in
status | guard | unguard | stop | keep_down | start | settings | freeze | thaw | promote | reach | log | history | diverged | dead_man_arm | dead_man_renew | dead_man_disarm | dead_man_status | dead_man_watch) "verb_$FD_verb" ;;
end_readers | retire | upstream | slots | synchronous | follow | checkpoint) "verb_$FD_verb" ;;
databases | virtual_ip | readiness) "verb_$FD_verb" ;;
checkpoint_now | rejoin_status | rejoin_source | rejoin_start | rejoin_run | rejoin_finish) "verb_$FD_verb" ;;
wal_end | wal_send | wal_receive) "verb_$FD_verb" ;;
*) cannot "no such verb: $FD_verb" ;;
esac </dev/null
