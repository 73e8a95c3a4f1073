#!/usr/bin/perl

# Providers of Dubbo 2.7 that register in Redis come, drain and die
# under a consumer, one of 3.3.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Interop::Fleet;

Interop::Fleet::life('27', '33', 'redis');
