# Last, so that half a program does nothing; standard input is the program itself: nobody's.
case $FD_verb in
status | guard | unguard | stop | start | settings | freeze | thaw | promote | reach | log) "verb_$FD_verb" ;;
*) cannot "no such verb: $FD_verb" ;;
esac </dev/null
