# Runs a command of the workspace, once its packages are there. What is up to date costs a comparison of two files.
# The parentheses keep the shell from remembering where it found the machine's node: the command wants ours. And exec
# puts the command in this shell's place, so that a signal sent to npm reaches it.
cmp -s pnpm-lock.yaml node_modules/.stamp || (node scripts/setup.cjs) || exit
exec "$@"
