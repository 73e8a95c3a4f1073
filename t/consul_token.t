#!/usr/bin/perl

# Tokens of Consul: from a file, changed meanwhile, without the right to read,
# and none at all where one is needed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Consul;
use Mesh::Learned;
use Mesh::Test;

my $NAME = 'com.example.A';
my $READ = 'service_prefix "" { policy = "read" } '
           . 'node_prefix "" { policy = "read" }';

my $t = Mesh::Test->new(timeout => 200);
my $c = Mesh::Consul->new(acl => 1);
my $file = $t->dir . '/token';

sub url { "dubbo://127.0.0.1:$_[0]/$NAME?side=provider" }
sub all { join ' ', map { "127.0.0.1:$_=100" } @_ }

# put(token): as a deployment does, at once
sub put {
    $t->write_file('token.new', @_);
    rename "$file.new", $file or die $!;
}

# said(pattern): such an error is logged, once
sub said {
    my ($pattern, $name) = @_;
    my $log = $t->log;
    ok(wait_for(sub { $t->log =~ /\[error\].*$pattern/ }, 15), $name)
        or diag($log);
}

my $first = $c->token($READ);
$c->dubbo(url($_), ttl => 600) for 20881, 20882;

$t->write_conf(learn_conf('consul ' . $c->url . " token_file=$file",
    service => $NAME,
    mesh => 'registry consul ' . $c->url . ' name=none discovery=listed;'));
$t->run;

said(qr/token_file=.*cannot be read \(2: No such file/, 'no file');
is(learned($t, $NAME), '', 'nothing is asked without it');

put("  $first\n");
is(until_learned($t, $NAME, 2), all(20881, 20882), 'the token is there');


# revoked, and another one

$c->revoke($first);
said(qr/403/, 'it is revoked');
is(learned($t, $NAME), all(20881, 20882), 'what was known stays');

put($c->token($READ) . "\n");
$c->dubbo(url(20883), ttl => 600);
is(until_learned($t, $NAME, 3), all(20881 .. 20883), 'another token');


# rights that are not enough look as if nobody was there

my $blind = $c->token('service_prefix "" { policy = "read" }');

put($blind);
$t->signal('HUP');
sleep 1;
said(qr/lacks what the token may not read/, 'a token that may not read nodes');
is(learned($t, $NAME), all(20881 .. 20883), 'what was known stays, again');

unlink $file;
sleep 2;
is(learned($t, $NAME), all(20881 .. 20883), 'the file is gone');

put($c->token($READ));
$c->dubbo(url(20884), ttl => 600);
is(until_learned($t, $NAME, 4), all(20881 .. 20884), 'and is back');

is(scalar(grep { /$first|$blind/ } split /\n/, $t->log), 0,
   'no token is logged');


# where there is no token at all an empty list means nothing

like($t->log, qr/\[error\].*"none":.*answers nothing without a token/,
     'no token');

$t->done;
