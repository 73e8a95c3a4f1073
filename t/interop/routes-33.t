#!/usr/bin/perl

# Routes that change requests, Dubbo 3.3.6 on both sides.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";
use Interop::Routes qw(routes);

routes(33);
