#!/usr/bin/perl

# Routes that change requests, Dubbo 2.7.23 on both sides.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";
use Interop::Routes qw(routes);

routes(27);
