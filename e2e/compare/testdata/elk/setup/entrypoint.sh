#!/usr/bin/env bash
echo "users and roles are created"
