#!/usr/bin/perl

# discovery=all and more services than max_services: some are followed, and it
# is told that others are not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Api;
use Mesh::FaultHTTP;
use Mesh::Learned;
use Mesh::Test qw(wait_for);

my $t = Mesh::Test->new;
my $f = Mesh::FaultHTTP->new;
my @names = map { "com.example.S$_" } 1 .. 5;

sub there { $f->service($_, [ dubbo($f, $_, 20880) ]) for @_ }
sub known { scalar grep { learned($t, $_) } @names }
sub told  { scalar $t->grep_log(qr/\[warn\].*"max_services=3" .* 5 services/) }

there(@names);

$t->write_conf(learn_conf('consul ' . $f->url . ' discovery=all '
                          . 'max_services=3 wait=2s', mesh => 'guard off;'));
$t->run;

ok((wait_for { known() == 3 } 10), 'as many as may be');
ok((wait_for { told() } 5), '... the others are told of');

my @gone = (grep { learned($t, $_) } @names)[0, 1];

$f->service($_, undef) for @gone;
ok((wait_for { known() == 3 && !grep { learned($t, $_) } @gone } 30),
   'two go, two others come');
is(scalar(grep { /max_services/ } errors_of($t)), 1,
   'it was told once');

$t->done;
