case $FD_verb in
status | guard | unguard | stop | start | settings | freeze | thaw | promote | reach | log) "verb_$FD_verb" ;;
*) finish "$EXIT_CANNOT" cannot "no such verb: $FD_verb" ;;
esac
