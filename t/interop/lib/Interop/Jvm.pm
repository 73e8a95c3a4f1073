package Interop::Jvm;

# A Java peer as a child process: lines to its standard input, lines from its
# standard output, its standard error in a file.

use strict;
use warnings;

use Carp qw(croak);
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IO::Handle;
use IO::Select;
use POSIX qw(WNOHANG _exit);
use Time::HiRes qw(time sleep);

my $top = abs_path(dirname(__FILE__) . '/../../../..');

# start-up is most of what these processes do
my @flags = qw(-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto -Xmx256m);

# Dubbo's proxies and Hessian look into java.base by reflection
push @flags, map { "--add-opens=java.base/java.$_=ALL-UNNAMED" }
    qw(lang lang.invoke math util util.concurrent net);

# 3.3 would serve metrics and metadata on all interfaces, at 20880, and lose
# seconds when that is taken
push @flags, map { "-D$_" } qw(
    java.net.preferIPv4Stack=true
    dubbo.application.logger=jdk
    dubbo.application.qos-enable=false
    dubbo.application.enable-file-cache=false
    dubbo.application.register-mode=interface
    dubbo.metrics.enable=false
    dubbo.metrics.export-metrics-service=false
);


# start('27', '33' or 'sofa513', 'Provider' or 'Consumer', log => file,
#       args => [...], define => { property => value }, classes => a directory
#       of more classes, of which the main one has a package in its name)

sub start {
    my ($class, $peer, $main, %opt) = @_;

    my $dir = "$top/build/interop/$peer";
    my $cp = do {
        open my $fh, '<', "$dir/classpath" or croak "$dir/classpath: $!";
        local $/;
        "$dir/classes:" . <$fh>;
    };
    chomp $cp;
    $cp = "$opt{classes}:$cp" if $opt{classes};
    $main = "mesh.kit.$main" if $main !~ /\./;

    my $define = $opt{define} || {};
    my @define = map { "-D$_=$define->{$_}" } sort keys %$define;

    # close-on-exec is Perl's default: no peer holds another's pipe open
    pipe my $in, my $to or croak "pipe: $!";
    pipe my $from, my $out or croak "pipe: $!";

    my $pid = fork;
    croak "fork: $!" if !defined $pid;

    if (!$pid) {
        open STDIN, '<&', $in or _exit(126);
        open STDOUT, '>&', $out or _exit(126);
        open STDERR, '>>', $opt{log} or _exit(126);
        exec 'java', @flags, @define, '-cp', $cp, $main,
            @{ $opt{args} || [] } or _exit(127);
    }

    close $in;
    close $out;
    $to->autoflush(1);

    return bless {
        pid => $pid, to => $to, from => $from, buffer => '', log => $opt{log},
        name => "$main $peer", owner => $$,
    }, $class;
}


# the first line says that it is ready

sub ready {
    my ($self, $seconds) = @_;
    my $line = $self->line($seconds || 30);
    $line =~ /^READY/ or croak "$self->{name} says: $line";
    return $self;
}


sub line {
    my ($self, $seconds) = @_;
    my $until = time + $seconds;

    # SOFARPC's tracer complains on the standard output of its own files

    while ($self->{buffer} =~ s/^\[TraceSelfLog\].*\n//
           || $self->{buffer} !~ /\n/)
    {
        next if $self->{buffer} =~ /\n/;

        my $left = $until - time;
        if ($left <= 0 || !IO::Select->new($self->{from})->can_read($left)) {
            croak "$self->{name} says nothing for $seconds s\n" . $self->errors;
        }
        sysread($self->{from}, $self->{buffer}, 65536, length $self->{buffer})
            or croak "$self->{name} is gone\n" . $self->errors;
    }

    $self->{buffer} =~ s/^(.*)\n//;
    return $1;
}


# the end of what it wrote to standard error

sub errors {
    my ($self) = @_;
    open my $fh, '<', $self->{log} or return '';
    my @lines = <$fh>;
    splice @lines, 0, @lines - 20 if @lines > 20;
    return join '', @lines;
}


# ask('call', ref => 'a', op => 'echo'): the answer as a hash; {answer} is
# "ok" or "fail"

sub ask {
    my ($self, $word, %arg) = @_;

    $self->tell($word, %arg);
    return $self->answer;
}


sub tell {
    my ($self, $word, %arg) = @_;

    my $line = $word;
    for my $name (sort keys %arg) {
        my $value = $arg{$name};
        utf8::encode($value);
        $value =~ s/([^\w.,:-])/sprintf '%%%02X', ord $1/ge;
        $line .= " $name=$value";
    }

    local $SIG{PIPE} = 'IGNORE';
    print { $self->{to} } "$line\n"
        or croak "$self->{name} is gone\n" . $self->errors;
    return;
}


sub answer {
    my ($self, $seconds) = @_;

    my ($word, @pairs) = split ' ', $self->line($seconds || 40);
    my %got = (answer => $word);
    for (@pairs) {
        my ($name, $value) = split /=/, $_, 2;
        $value =~ tr/+/ /;
        $value =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
        utf8::decode($value);
        $got{$name} = $value;
    }
    return \%got;
}


sub pid { $_[0]{pid} }


sub kill {
    my ($self, $signal) = @_;
    return if !$self->{pid};
    return CORE::kill $signal, $self->{pid};
}


# waits for its end; the seconds it took, undef if it still runs

sub gone {
    my ($self, $seconds) = @_;
    my $start = time;

    return 0 if !$self->{pid};
    while (time - $start < $seconds) {
        if (waitpid($self->{pid}, WNOHANG) == $self->{pid}) {
            delete $self->{pid};
            return time - $start;
        }
        sleep 0.02;
    }
    return;
}


# End of input is the order to leave; a test that dies must not leave a JVM.

sub stop {
    my ($self) = @_;
    my $status = $?;

    if ($self->{pid}) {
        close $self->{to};
        if (!defined $self->gone(3)) {
            $self->kill('KILL');
            $self->gone(3);
        }
    }
    $? = $status;
    return;
}


sub DESTROY {
    my ($self) = @_;
    $self->stop if $self->{owner} == $$;
    return;
}


1;
