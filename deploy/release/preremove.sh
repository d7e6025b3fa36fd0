#!/bin/sh
# Before the program is removed, and not when another version takes its place, which dpkg
# tells by a word and rpm by how many will be left. The projects go on running.
set -e
case $1 in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl stop 'tend@*.service'
	fi
	;;
esac
