#!/usr/bin/perl

# Files with secrets that nginx's user may not read: the log names the
# directive, the file and the reason, once; it is used as soon as it may be
# read; and nobody is told what is in it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Api;
use Mesh::FaultHTTP;
use Mesh::Learned;
use Mesh::Redis;
use Mesh::Test;

use constant { NAME => 'com.example.A', SECRET => 'tell-nobody-of-it' };

my $t = Mesh::Test->new;
my $f = Mesh::FaultHTTP->new;
my $redis = Mesh::Redis->new(password => SECRET);

my @names = qw(consul redis sentinel);
my %directive = (consul => 'token_file', redis => 'password_file',
                 sentinel => 'sentinel_password_file');
my %file = map { $_ => $t->path_of("$_.secret") } @names;
my $sentinel = Mesh::Redis->sentinel('mymaster', $redis);

sub registry {
    my ($type, $name, $url, $more) = @_;
    return "registry $type $url name=$name $directive{$name}=$file{$name} "
           . ($more // '') . ';';
}

sub state_of {
    my ($name) = @_;
    return api($t, 'GET', "registries/$name")->{json}{status}{state} // '';
}

for (@names) {
    $t->write_file($file{$_}, SECRET . "\n");
    chmod 0000, $file{$_};
}

$f->service(NAME, [dubbo($f, NAME, 20880)]);

# root reads everything; "nobody" has another group elsewhere
my $group = getgrgid((getpwnam 'nobody')[3]);
$t->write_conf(api_conf(
    main => $> == 0 ? "user nobody $group;" : '',
    mesh => join "\n", 'state_path %%DIR%%/state;',
        registry('consul', 'consul', $f->url),
        registry('redis', 'redis', $redis->url),
        registry('redis', 'sentinel', $sentinel->url, 'sentinel=mymaster')));
$t->run;

for (@names) {
    my $name = $_;

    ok((wait_for { state_of($name) eq 'error' } 10), "$name: an error");
    is_deeply([ map { /registry "$name": (?:"redis:[^"]*": )?(.*), what it/ ? $1 : $_ }
                $t->grep_log(qr/\[error\].*registry "$name"/) ],
              [ "\"$directive{$name}=$file{$name}\" cannot be read "
                . '(13: Permission denied)' ], '... in one line');
}

chmod 0644, @file{qw(consul redis)};
ok((wait_for { state_of($_) eq 'ok' } 15), "$_: it may be read now")
    for qw(consul redis);

my @said = ($t->log, $t->http('GET', '/metrics', undef, port => 'http')
                       ->{content},
            map({ api($t, 'GET', "registries/$_")->{content} } @names),
            map { $t->read_file("/proc/$_/cmdline") }
            $t->pid, $t->children(qr/./));
my $secret = SECRET;
is(scalar(grep { /$secret/ } @said), 0, 'nobody is told');

$t->done;
